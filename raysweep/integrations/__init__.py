"""Reports of training libraries: `from raysweep.integrations.lightning import Report`.

Each module is for the library of its name, and imports it: `lightning`, `transformers`,
`accelerate`, `ignite` and `fastai`. A `Report` takes the names of the metrics to report, all of
them by default, and `run`, if it is used in a train function:

- In a train function, `Report(run=run)` reports by `run.report(...)`, which ends the training if
  the scheduler stops the trial, and lets a trial that is resumed continue where it was.
- In a script, `Report()` finds the sweep that runs the script by its environment. Outside of a
  sweep it does nothing.

`script` has what a script without such a library calls: `raysweep.report` and `raysweep.config`.
"""
