"""Drafts a sweep's file from a training program, without training.

The program is read, and run up to where it reads its options (`ask_program.py`, with `hook/` in the
program's own process). What is found becomes an `Interface` (`interface.py`): the options, and how
they are written. Each option becomes an entry of the space with a reason (`ranges.py`), the number
of epochs or steps becomes the budget (`length.py`), and what the program prints or logs tells the
metric (`metric_guess.py`). `write.py` makes the commented file of it. `one_line.py` does the same
for a sweep that is described by the options of `raysweep run`.
"""
