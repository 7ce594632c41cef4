"""Programs that do not come to their parser, or do something else before: nothing is trained."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from raysweep.search_spaces.drafting import ask_program
from raysweep.search_spaces.drafting.draft import draft
from raysweep.search_spaces.drafting.hook.after_import import ImportProgress
from raysweep.search_spaces.drafting.program import ProgramError
from raysweep.search_spaces.drafting.write import text_of

PARSER = """
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--nesterov", action="store_true")
options = parser.parse_args()
open("trained", "w")
"""


def program(folder: Path, code: str) -> str:
    path = folder / "train.py"
    path.write_text(code)
    return str(path)


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("import sys\nsys.exit('no GPU here')", "it called sys.exit('no GPU here')"),
        ("input('name? ')", "EOFError"),
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("import os\nos.kill(os.getpid(), 9)", "it ended with exit code 137"),
        ("import os\nos._exit(3)", "it ended with exit code 3"),
        (
            "while True: pass",
            "it was ended after 3 seconds in which it imported nothing; raysweep init --limit 15 "
            "gives it longer",
        ),
    ],
)
def test_one_that_does_not_come_to_its_parser_is_read(
    before: str, reason: str, tmp_path: Path
) -> None:
    name = program(tmp_path, f"import argparse\n{before}\n{PARSER}")
    made = draft(name, [], limit=3)
    assert [one.option.name for one in made.active] == ["lr"]
    assert [one.option.form for one in made.suggestions] == ["value", "flag"]
    assert reason in made.interface.notes[-1]
    assert reason in text_of(made, tmp_path / "sweep.yaml").replace("\n#   ", " ")
    assert not (tmp_path / "trained").exists()


class Importing:
    """A program that imports a module every 90 seconds, as a clock has it that it moves."""

    def __init__(self, file: Path, modules: list[str]) -> None:
        self.now, self._file, self._modules = 0.0, file, modules

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float) -> int:
        self.now += 90.0
        if not self._modules:
            return 0
        if self._modules[0]:
            self._file.write_text(self._modules[0])
        del self._modules[0]
        raise subprocess.TimeoutExpired("", timeout)


@pytest.mark.parametrize(
    ("modules", "code"), [(["torch", "timm", "timm.layers"], 0), (["torch", "", "", "timm"], None)]
)
def test_an_import_may_take_as_long_as_it_goes_on(
    modules: list[str],
    code: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    process = Importing(tmp_path / "importing", modules)
    monkeypatch.setattr(ask_program, "time", process)
    file = tmp_path / "importing"
    ended = ask_program._wait(process, "train.py", 120.0, file)  # type: ignore[arg-type]
    assert ended == code
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "train.py has not come to its options after 90 s; it imports torch"


def test_what_is_imported_is_seen_from_outside(tmp_path: Path) -> None:
    told = ImportProgress(tmp_path / "importing")
    told.find_spec("own_module")
    told.find_spec("own_second")  # at once: it is not written again
    assert (tmp_path / "importing").read_text() == "own_module"
    unwritable = ImportProgress(tmp_path / "no" / "folder")
    unwritable.find_spec("own_module")  # which is no end of the import


@pytest.mark.parametrize(
    "before",
    [
        "print('x' * 1_000_000)",
        "import sys\nsys.stdout.close()",
        "import os\nos.environ.clear()",
        "import os\nos.chdir('/')",
        "import sys\nsys.setrecursionlimit(50)",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()",
    ],
)
def test_one_that_disturbs_its_process_is_answered_all_the_same(
    before: str, tmp_path: Path
) -> None:
    made = draft(program(tmp_path, f"import argparse\n{before}\n{PARSER}"), [], limit=30)
    assert [one.option.name for one in made.active] == ["lr"]
    assert made.interface.notes == ()
    assert not (tmp_path / "trained").exists()


def test_one_that_catches_everything_is_ended_all_the_same(tmp_path: Path) -> None:
    body = PARSER.replace("\n", "\n    ")
    code = (
        f"import argparse\ntry:\n    {body}\nexcept BaseException:\n    pass\nopen('late', 'w')\n"
    )
    assert draft(program(tmp_path, code), []).active
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.py"]


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    code = f"""
import argparse, multiprocessing, subprocess, sys, time
if __name__ == "__main__":
    spawned = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    spawned.start()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open("pids", "w").write(f"{{spawned.pid}} {{child.pid}}")
    {PARSER.replace(chr(10), chr(10) + "    ")}
"""
    assert draft(program(tmp_path, code), []).active
    for pid in (tmp_path / "pids").read_text().split():
        assert gone(int(pid))


def gone(pid: int) -> bool:
    """Whether a process ends within seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.1)
    return False


def test_one_without_any_options_is_not_run(tmp_path: Path) -> None:
    name = program(tmp_path, "open('trained', 'w')\nfor epoch in range(3): print('loss', 1.0)\n")
    with pytest.raises(ProgramError, match="nothing to tune was found: it reads no options"):
        draft(name, [])
    assert not (tmp_path / "trained").exists()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"def f(:\n", r"train\.py:1: not valid Python: invalid syntax"),
        (b"\xff\xfe\x00", r"train\.py: not valid Python"),
        (b"x = 1\n\x00", r"not valid Python"),
        (b"", r"nothing to tune was found"),
        (b"(" * 5000, r"not valid Python"),
    ],
)
def test_what_is_no_program_is_one_line(content: bytes, line: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_bytes(content)
    with pytest.raises(ProgramError, match=line) as raised:
        draft(str(tmp_path / "train.py"), [])
    assert "\n" not in str(raised.value)


def test_odd_names_and_defaults_are_a_file_all_the_same(tmp_path: Path) -> None:
    code = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--count", type=lambda text: int(text), default=float("nan"))
parser.add_argument("--lr", type=float, default=float("inf"))
parser.add_argument("--\\u00fc", type=float, default=0.3)
parser.add_argument("--a b", type=float, default=0.3)
parser.add_argument("--x:y", type=float, default=0.3)
parser.add_argument("--w#", type=float, default=0.3)
parser.add_argument("--yes", type=float, default=0.3)
parser.add_argument("--big", type=int, default=10**400)
parser.add_argument("--mode", default="\\x1b[31m" * 500, choices=["a\\nb", "c\\x1b"])
parser.parse_args()
"""
    from raysweep.search_spaces.convert.any_file import read_text

    made = draft(program(tmp_path, code), [])
    text = text_of(made, tmp_path / "sweep.yaml")
    assert read_text(text, tmp_path / "sweep.yaml").space.params
    assert {one.option.name for one in made.suggestions} == {"lr", "ü", "x:y", "w#", "yes", "mode"}


def test_nothing_is_left_in_the_programs_folder(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("WIDTH = 3\n")
    draft(program(tmp_path, f"import argparse\nimport helper\n{PARSER}"), [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["helper.py", "train.py"]


def test_it_may_lie_beside_modules_that_are_called_like_ours(tmp_path: Path) -> None:
    for name in ("raysweep", "answer", "commands", "probe", "main"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')\n")
    assert draft(program(tmp_path, f"import argparse\n{PARSER}"), []).interface.notes == ()


def test_a_small_parser_before_the_real_one_is_not_the_end(tmp_path: Path) -> None:
    code = f"""
import argparse


def options():
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--config")
    known, rest = first.parse_known_args()
    {PARSER.replace(chr(10), chr(10) + "    ")}


options()
"""
    assert [one.option.name for one in draft(program(tmp_path, code), []).active] == ["lr"]


def test_one_that_only_parses_what_it_knows_is_ended_there(tmp_path: Path) -> None:
    code = PARSER.replace("options = parser.parse_args()", "options, _ = parser.parse_known_args()")
    assert draft(program(tmp_path, f"import argparse\n{code}"), []).active
    assert not (tmp_path / "trained").exists()
