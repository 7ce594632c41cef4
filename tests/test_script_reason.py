"""Why a script failed: its own error, and not what was printed after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.trainables.runtime.script.lines import LineReader
from raysweep.trainables.runtime.script.reason import fails_again, reason_and_lines

ATEXIT = """
import atexit, sys, threading
atexit.register(lambda: print("wandb: Run history:\\nwandb: acc 0.5", file=sys.stderr))
atexit.register(lambda: 1 / 0)
def worker(): raise OSError("in a thread")
thread = threading.Thread(target=worker); thread.start(); thread.join()
try:
    {}["data"]
except KeyError as error:
    raise RuntimeError("no such layer\\nsecond line") from error
"""
CAUGHT = """
import logging, sys
try: 1 / 0
except ZeroDivisionError: logging.exception("skipped a batch")
for _ in range(100): print("training")
sys.exit("error: the data set has no labels")
"""
BAR = """
import sys
from tqdm import tqdm
bar = tqdm(total=3, leave=True)
bar.update()
try: raise ValueError("bad batch")
finally: print("cleaning up")
"""
RANKS = """
import sys
lines = '''[rank1]: Traceback (most recent call last):
[rank1]:   File "train.py", line 9, in <module>
[rank0]: Traceback (most recent call last):
[rank0]:   File "train.py", line 12, in <module>
[rank1]:     raise ValueError("a bad shard")
[rank1]: ValueError: a bad shard
[rank0]: RuntimeError: [../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1
E1129 12:00:00.000000 1 torch/distributed/elastic/multiprocessing/api.py:874] failed (exitcode: 1)
Traceback (most recent call last):
  File "/usr/bin/torchrun", line 8, in <module>
    sys.exit(main())
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
------------------------------------------------------------
Failures:
[1]:
  time      : 2026-11-29_12:00:00
  rank      : 0 (local_rank: 0)
Root Cause (first observed failure):
[0]:
  time      : 2026-11-29_12:00:00
  rank      : 1 (local_rank: 1)
  exitcode  : 1 (pid: 1)
  error_file: <N/A>
============================================================'''
print(lines); sys.exit(1)
"""
SPAWNED = """
import sys
print('''W1129 12:00:00.000000 1 torch/multiprocessing/spawn.py:169] Terminating process 2
Traceback (most recent call last):
  File "train.py", line 9, in <module>
    mp.spawn(main, nprocs=2)
torch.multiprocessing.spawn.ProcessRaisedException:
-- Process 0 terminated with the following error:
Traceback (most recent call last):
  File "/lib/torch/multiprocessing/spawn.py", line 90, in _wrap
    fn(i, *args)
ValueError: from a process'''); sys.exit(1)
"""
ACCELERATE = """
import sys
print('''Traceback (most recent call last):
  File "train.py", line 3, in <module>
    model.cuda()
AssertionError: Torch not compiled with CUDA enabled
Traceback (most recent call last):
  File "/bin/accelerate", line 8, in <module>
    sys.exit(main())
subprocess.CalledProcessError: Command '['python', 'train.py']' returned non-zero exit status 1.
'''); sys.exit(1)
"""
BOX = """
import sys
print('''Usage: train.py [OPTIONS]
╭─ Unrecognized options ───────────────────────────────────╮
│ Unrecognized options: --lr                               │
│ ──────────────────────────────────────────────────────── │
│ For full helptext, run train.py --help                   │
╰──────────────────────────────────────────────────────────╯''')
sys.exit(2)
"""
ARGPARSE = """
import argparse
argparse.ArgumentParser(prog="train.py").parse_args(["--lr=0.1"])
"""
SEGFAULT = "import faulthandler; faulthandler.enable(); faulthandler._sigsegv()"
SYNTAX = "for"
HEADING = """
raise RuntimeError("Error downloading train.gz:\\nTried https://a.example:\\n<no such host>")
"""
ASSERTS = "width = 0\nassert width > 0"
EXECUTES = "import os\nos.chdir(os.path.dirname(__file__))\nexec(open('settings.py').read())"
MISSING = "import no_such_module"
QUIET = "import sys; sys.exit(3)"
STRIPES = "import sys; print(' 45%|####     | 45/100 [00:01<00:01, 43.21it/s]'); sys.exit(1)"


def printed(code: str, folder: Path) -> list[str]:
    """What a script prints, as lines."""
    path = folder / "train.py"
    path.write_text(code)
    content = subprocess.run(
        [sys.executable, "-u", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ).stdout
    reader = LineReader()
    lines = [*reader.feed(content), *reader.end()]
    return [line.text for line in lines if line.text and not line.overwritten]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ATEXIT, "RuntimeError: no such layer"),
        (CAUGHT, "error: the data set has no labels"),
        (BAR, "ValueError: bad batch"),
        (RANKS, "ValueError: a bad shard"),
        (SPAWNED, "ValueError: from a process"),
        (ACCELERATE, "AssertionError: Torch not compiled with CUDA enabled"),
        (BOX, "Unrecognized options: --lr"),
        (ARGPARSE, "train.py: error: unrecognized arguments: --lr=0.1"),
        (SEGFAULT, "Fatal Python error: Segmentation fault"),
        (SYNTAX, "SyntaxError: invalid syntax"),
        (HEADING, "RuntimeError: Error downloading train.gz: <no such host>"),
        (ASSERTS, "AssertionError (train.py:2: assert width > 0)"),
        (EXECUTES, "AssertionError (settings.py:2: assert type(a) == type(1))"),
        (QUIET, "printed nothing"),
        (STRIPES, "45%|####     | 45/100 [00:01<00:01, 43.21it/s]"),
    ],
    ids=[
        "atexit",
        "caught",
        "bar",
        "ranks",
        "spawn",
        "accelerate",
        "box",
        "argparse",
        "segfault",
        "syntax",
        "heading",
        "asserts",
        "executes",
        "quiet",
        "stripes",
    ],
)
def test_the_reason_is_the_scripts_own_error(code: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("a = 'x'\nassert type(a) == type(1)\n")
    assert reason_and_lines(printed(code, tmp_path), tmp_path)[0] == reason


@pytest.mark.parametrize(
    ("code", "exit_code", "again"),
    [
        (MISSING, 1, True),
        (SYNTAX, 1, True),
        (ARGPARSE, 2, True),
        (BOX, 2, True),
        (ASSERTS, 1, False),
        (CAUGHT, 1, False),
        (QUIET, 3, False),
        (QUIET, 2, False),
    ],
)
def test_a_program_that_cannot_begin_would_fail_again(
    code: str, exit_code: int, again: bool, tmp_path: Path
) -> None:
    assert fails_again(printed(code, tmp_path), exit_code) is again


def test_the_whole_traceback_is_shown_whatever_was_printed_after_it() -> None:
    trace = ["Traceback (most recent call last):", *["  frame"] * 5, "ValueError: bad"]
    after = [f"wandb: {index}" for index in range(30)]
    reason, lines = reason_and_lines(["before", *trace, *after])
    assert reason == "ValueError: bad"
    assert lines == trace + after[-20:]


def test_a_very_long_traceback_keeps_its_ends() -> None:
    trace = ["Traceback (most recent call last):", *[f"  {i}" for i in range(300)], "E: x"]
    assert reason_and_lines(trace)[1] == [*trace[:50], "...", *trace[-50:]]
