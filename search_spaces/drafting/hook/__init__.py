"""Runs in the process of a user's program, and tells which options the program reads.

Nothing but the standard library is imported here, so that the program meets the same modules as it
would alone. The answer is a JSON object in a file; the process ends as soon as it is written.
"""
