"""Runs a script as a trainable, whatever it trains with: `trainable: path/to/train.py`.

It is run once for each trial, in its own folder, by the same Python or by its `launcher`. The
configuration comes as options, `--lr=0.1 --optimizer.args.lr=0.1 --nesterov=true`, as a file if the
`script:` section says so, and as JSON in `RAYSWEEP_CONFIG`.

For each epoch the script reports one JSON object that has the metric, on a line of its own. It
prints that line, or appends it to the file that `RAYSWEEP_REPORTS` names. An object with `epoch`
(1, 2, ...) is the report of that epoch; without it, objects are counted.

`RAYSWEEP_EPOCHS` says how many epochs there are, `RAYSWEEP_SEED` the seed, `RAYSWEEP_DEVICE` `cpu`
or `cuda`, and `RAYSWEEP_FOLDER` where the script may keep its files. The folder is the same when a
trial is continued, so a script that saves checkpoints can continue from them; `resume` and
`checkpoint` say how it is told. A script that does not starts anew, and the epochs that are known
already are skipped. A script that is stopped gets SIGTERM, and SIGKILL five seconds later, with all
that it started.
"""
