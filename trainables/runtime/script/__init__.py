"""Runs a script as a trainable, whatever it trains with: `trainable: path/to/train.py`.

It is run once for each trial, in its own folder, by the same Python or by its `launcher`. The
configuration comes as options, `--lr=0.1 --optimizer.args.lr=0.1 --nesterov=true`, as a file if the
`script:` section says so, and as JSON in `RAYSWEEP_CONFIG`.

What it reports is read from what it prints (JSON objects, Python dictionaries, and whatever the
user's patterns match), from the files that it writes, and from the file that `RAYSWEEP_REPORTS`
names, to which it may append JSON objects. A position, such as `epoch` or `step`, says which report
a value belongs to; without one, values are counted (`reports.py`). A program that logs to W&B runs
as it is (`wandb_hook/`).

`RAYSWEEP_EPOCHS` says how many epochs there are (or `RAYSWEEP_STEPS`, `RAYSWEEP_SAMPLES`,
`RAYSWEEP_SECONDS`), `RAYSWEEP_REPORT_EVERY` how many of them lie between two reports,
`RAYSWEEP_SEED` the seed, `RAYSWEEP_DEVICE` `cpu` or `cuda`, and `RAYSWEEP_FOLDER` where the script
may keep its files. The folder is the same when a trial is continued, so a script that saves
checkpoints can continue from them; `resume` and `checkpoint` say how it is told. A script that does
not starts anew, and the epochs that are known already are skipped. A script that is stopped gets
SIGTERM, and SIGKILL five seconds later, with all that it started.
"""
