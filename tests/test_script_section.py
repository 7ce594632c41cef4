"""The `script:` section: what it says, and the line for each mistake in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raysweep.schedulers.asha import Asha
from raysweep.search_spaces.file.document import SpecificationError
from raysweep.search_spaces.file.writer import write
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.tune.cli.dry_run import preview
from raysweep.tune.load import load_run_sweep, load_sweep
from raysweep.tune.run_folders import FolderError, check_unchanged, write_sweep
from raysweep.tune.sweep import Sweep

FILE = """\
trainable: train.py
metric: {name: loss, goal: minimize}
searcher: random
budget: {trials: 2, epochs: 9}
space:
  lr: {float: [0.1, 0.2]}
  flag: {choice: [true, false]}
  net: {choice: [{deep: true}, {deep: false}]}
  momentum: {float: [0.5, 0.9], when: lr > 0.15}
  layers: {choice: [[1, 2], ["a,b"]]}
  seed: 7
script:
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("print(1)")
    Path("base.yaml").write_text("lr: 1\nother: 2\n")


def sweep_of(*lines: str, text: str = FILE) -> Sweep:
    Path("s.yaml").write_text(text + "".join(f"  {line}\n" for line in lines))
    return load_sweep("s.yaml")


def line_of(*lines: str, text: str = FILE) -> CommandLine:
    sweep = sweep_of(*lines, text=text)
    assert sweep.command_line is not None
    return sweep.command_line


def mistake(*lines: str) -> str:
    with pytest.raises(SpecificationError) as caught:
        sweep_of(*lines)
    return str(caught.value)


MISTAKES: list[tuple[list[str], str]] = [
    (["launcher: []"], "script.launcher: expected at least one word"),
    (["launcher: torchrun 'x"], "script.launcher: 'torchrun 'x' is no command: No closing quot"),
    (["launcher: 5"], "script.launcher: expected a list, got 5"),
    (
        ["launcher: torchrun -n {prot}"],
        "script.launcher.2: unknown placeholder '{prot}' in '{prot}'; did you mean 'port'?; the "
        "text itself is written {{prot}}",
    ),
    (["folder: nowhere"], "script.folder: there is no folder 'nowhere' beside the specification"),
    (["environment: {A=B: 1}"], "script.environment: 'A=B' is no name of an environment variable"),
    (
        ["environment: {X: '{lrr}'}"],
        "script.environment.X: unknown placeholder '{lrr}' in '{lrr}'; did you mean 'lr'?; the "
        "text itself is written {{lrr}}",
    ),
    (
        ["environment: {CUDA_VISIBLE_DEVICES: '0'}"],
        "script.environment: raysweep itself says which GPUs a trial sees; resources.gpu says "
        "how many",
    ),
    (
        ["arguments: --out {folderr}"],
        "script.arguments.1: unknown placeholder '{folderr}' in '{folderr}'; did you mean "
        "'folder'?; the text itself is written {{folderr}}",
    ),
    (["arguments: [--steps, '{steps}']"], "script.arguments.1: '{steps}' needs budget.steps"),
    (
        ["arguments: ['--out=${folder}']"],
        "script.arguments.0: '${folder}' is passed on as it is; write {folder}, or ${{folder}} "
        "for the text itself",
    ),
    (
        ["arguments: ['{seed}']"],
        "script.arguments.0: '{seed}' is the sweep's own seed, and a parameter is called seed, "
        "too; give that another name, and script.names the option's",
    ),
    (
        ["arguments: ['{momentum}']"],
        "script.arguments.0: '{momentum}' has no value where the parameter is not active",
    ),
    (["arguments: ['{net}']"], "script.arguments.0: '{net}' is a mapping, which is no word"),
    (["after: [{a: 1}]"], "script.after.0: expected a word, got {a: 1}"),
    (["values: yaml"], "script.values: expected 'json', 'python' or 'hydra', got 'yaml'"),
    (
        ["lists: comas"],
        "script.lists: expected 'value', 'words', 'commas' or 'repeat', got 'comas'; did you "
        "mean 'commas'?",
    ),
    (
        ["lists: words", "options: name=value"],
        "script: lists: words expects options --name=value or --name value, got name=value",
    ),
    (["lists: commas"], "script.lists: commas, but an element of layers has a comma itself"),
    (["flags: [flagg]"], "script.flags: the space has no 'flagg'; did you mean 'flag'?"),
    (["flags: [lr]"], "script.flags: 'lr' is never true or false, so it is no flag"),
    (
        ["negated_flags: [seed]"],
        "script.negated_flags: 'seed' is never true or false, so it is no flag",
    ),
    (
        ["flags: true", "options: none"],
        "script: flags: expected options --name=value or --name value, got none",
    ),
    (
        ["negated_flags: true", "options: name=value"],
        "script: negated_flags: expected options --name=value or --name value, got name=value",
    ),
    (
        ["flags: true", "negated_flags: true"],
        "script: flags and negated_flags: one of them must name its parameters",
    ),
    (
        ["negated_flags: [flag]", "flags: [flag]"],
        "script.negated_flags: 'flag' is among flags already",
    ),
    (
        ["config_file: {name: c.yaml}"],
        "script.config_file: its path does not reach the script; add option: --config, or "
        "{config_file} to arguments",
    ),
    (["config_file: {option: --c}"], "missing key 'name' in script.config_file"),
    (
        ["config_file: {name: c.txt, option: --c}"],
        "script.config_file: name: expected a file .yaml, .yml, .json or .toml, got 'c.txt'; a "
        "file of another kind needs a template",
    ),
    (
        ["config_file: {name: ../c.yaml, option: --c}"],
        "script.config_file.name: expected the name of a file in the trial's folder, got "
        "'../c.yaml'",
    ),
    (
        ["config_file: {name: c.yaml, option: c}"],
        "script.config_file.option: expected an option such as --config, got 'c'",
    ),
    (
        ["config_file: {name: c.yaml, option: --c, template: no.yaml}"],
        "script.config_file.template: there is no file 'no.yaml' beside the specification, nor "
        "in the current folder",
    ),
    (
        ["resume: --ckpt {checkpoint}"],
        "script: resume: expected checkpoint beside it, the path at which the script saves",
    ),
    (
        ["resume: --c", "checkpoint: out/last.pt"],
        "script.checkpoint: 'out/last.pt' is the same for all trials, which would continue from "
        "each other's; expected {folder} or {trial} in it",
    ),
    (
        ["resume: --c", "checkpoint: '{folder}/*.pt'", "arguments: ['{checkpoint}']"],
        "script.arguments.0: '{checkpoint}' is a pattern, of which only resume has a match",
    ),
    (
        ["resume: --c {checkpont}", "checkpoint: '{folder}/*.pt'"],
        "script.resume.1: unknown placeholder '{checkpont}' in '{checkpont}'; did you mean "
        "'checkpoint'?; the text itself is written {{checkpont}}",
    ),
]


@pytest.mark.parametrize(("lines", "message"), MISTAKES)
def test_a_mistake_is_one_line(lines: list[str], message: str) -> None:
    said = mistake(*lines)
    assert said.startswith("s.yaml:")
    assert said.partition(": ")[2].startswith(message)
    assert int(said.partition(":")[2].partition(":")[0]) in range(12, 13 + len(lines))
    assert "\n" not in said


TEMPLATES = [
    ("c.yaml", "a: {lrr}\n", "t:1: unknown placeholder '{lrr}'; did you mean 'lr'?"),
    ("c.yaml", "a: b: c\n", "t is not YAML: mapping values are not allowed here"),
    ("c.yaml", "- 1\n", "t: expected a mapping of keys, got"),
    ("c.yaml", "lr:\n  deep: 1\nseed: 1\nnet: 5\n", "t: net.deep: 'net' is no mapping there"),
    ("c.json", "{a: 1}", "t is not JSON: Expecting property name"),
    ("c.toml", "a = \n", "t is not TOML: Invalid value"),
    ("c.ini", "x = {lr}\n", "t has no place for the parameter 'flag': write {flag} there"),
]


@pytest.mark.parametrize(("name", "template", "message"), TEMPLATES)
def test_a_template_that_cannot_be_used_is_one_line(name: str, template: str, message: str) -> None:
    Path("t").write_text(template)
    said = mistake(f"config_file: {{name: {name}, template: t, option: --c}}")
    assert said.startswith(f"s.yaml:13: script.config_file.template: {message}")
    assert "\n" not in said


def test_a_template_that_is_no_text() -> None:
    Path("t").write_bytes(b"\xff\xfe\x00")
    assert "'t' cannot be read as text" in mistake(
        "config_file: {name: c.yaml, template: t, option: --c}"
    )


def test_a_config_file_cannot_hold_a_group_and_its_members() -> None:
    text = FILE.replace("  seed: 7", "  lr.low: 7")
    Path("s.yaml").write_text(text + "  config_file: {name: c.yaml, option: --c}\n")
    with pytest.raises(SpecificationError, match=r"'lr' cannot be a value and hold 'lr.low'"):
        load_sweep("s.yaml")
    apart = load_sweep("s.yaml", ["script.names.lr=rate"])
    assert apart.command_line is not None
    assert apart.command_line.in_file({"lr": 1, "lr.low": 2}) == {"rate": 1, "lr.low": 2}


def test_words_may_be_a_text_or_a_list() -> None:
    line = line_of(
        "launcher: torchrun --nproc_per_node 2",
        "arguments: --note 'a b' -n 3",
        "after: [--epochs, 9, 0.5]",
    )
    assert line.launcher == ("torchrun", "--nproc_per_node", "2")
    assert line.arguments == ("--note", "a b", "-n", "3")
    assert line.after == ("--epochs", "9", "0.5")


def test_environment_variables_are_text() -> None:
    line = line_of("environment: {A: 1, B: true, C: null, D: 0.5, E: x}")
    assert line.environment == {"A": "1", "B": "true", "C": None, "D": "0.5", "E": "x"}


def test_options_are_left_to_the_file_if_there_is_one() -> None:
    assert line_of("config_file: {name: c.yaml, option: --config}").options == "none"
    both = line_of("config_file: {name: c.yaml, option: --config}", "options: --name value")
    assert both.options == "--name value"
    assert both.words({"a": 1}, {"config_file": "/c"}) == ["--a", "1", "--config", "/c"]


def test_the_processes_of_a_script_are_its_launchers() -> None:
    Path("s.yaml").write_text(FILE.replace("script:\n", "resources: {workers: 2}\n"))
    with pytest.raises(
        SpecificationError,
        match=r"s.yaml:12: resources.workers: a script starts .* torchrun --nproc_per_node 2 would",
    ):
        load_sweep("s.yaml")


def test_a_file_of_another_kind_needs_a_launcher() -> None:
    Path("run.sh").write_text("echo")
    text = FILE.replace("train.py", "run.sh")
    Path("s.yaml").write_text(text.replace("script:\n", ""))
    with pytest.raises(
        SpecificationError,
        match=r"s.yaml:1: trainable: .*got 'run.sh'; a script that is not Python needs script.lau",
    ):
        load_sweep("s.yaml")
    assert line_of("launcher: bash", text=text).launcher == ("bash",)


@pytest.mark.parametrize("place", ["pkg/tool.py", "pkg/tool/__main__.py"])
def test_a_module_is_found_beside_the_file(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(place).parent.mkdir(parents=True)
    Path(place).write_text("")
    text = FILE.replace("train.py", "-m pkg.tool").replace("script:\n", "")
    sweep = sweep_of(text=text)
    assert sweep.trainable == str(Path(place).resolve())
    assert sweep.command_line is not None
    assert sweep.command_line.module == "pkg.tool"
    assert (Path(sweep.trainable).parent / str(sweep.command_line.folder)).resolve() == Path.cwd()
    assert sweep.resolved["trainable"] == "-m pkg.tool"
    assert "# python -m pkg.tool --seed=7 " in preview(sweep).plain
    write_sweep(Path("run"), sweep)
    monkeypatch.chdir("/")
    assert load_run_sweep(Path(sweep.trainable).parents[place.count("/")] / "run").trainable == (
        sweep.trainable
    )


def test_an_installed_module_works_in_the_files_folder() -> None:
    sweep = sweep_of(text=FILE.replace("train.py", "-m json.tool").replace("script:\n", ""))
    assert Path(sweep.trainable).name == "tool.py"
    assert sweep.command_line is not None
    folder = Path(os.path.normpath(Path(sweep.trainable).parent / str(sweep.command_line.folder)))
    assert folder == Path.cwd()
    with pytest.raises(SpecificationError, match=r"s.yaml:1: trainable: there is no module 'a.b'"):
        sweep_of(text=FILE.replace("train.py", "-m a.b").replace("script:\n", ""))


def test_a_run_directory_keeps_paths_that_hold_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("src").mkdir()
    Path("src/train.py").write_text("")
    text = FILE.replace("train.py", "src/train.py")
    sweep = sweep_of(
        "folder: .",
        "arguments: ['{sweep}/data', '{{sweep}}']",
        "config_file: {name: c.yaml, template: base.yaml, option: --c}",
        text=text,
    )
    assert "# python src/train.py " in preview(sweep).plain
    kept = sweep.resolved["script"]
    assert kept["folder"] == str(tmp_path)
    assert kept["arguments"] == [f"{tmp_path}/data", "{{sweep}}"]
    assert kept["config_file"] == {
        "name": "c.yaml",
        "template": str(tmp_path / "base.yaml"),
        "option": "--c",
    }
    write_sweep(Path("run"), sweep)
    monkeypatch.chdir("/")
    again = load_run_sweep(tmp_path / "run")
    assert again.resolved == sweep.resolved
    line, before = again.command_line, sweep.command_line
    assert line is not None
    assert before is not None
    assert line.folder == before.folder == ".."
    assert line.config_file is not None
    assert line.config_file.template == "lr: 1\nother: 2\n"


def test_a_run_of_an_earlier_version_is_resumed() -> None:
    sweep = sweep_of("arguments: [fit]")
    old = ("arguments", "options", "values", "flags", "names")
    section = {key: sweep.resolved["script"][key] for key in old}
    Path("run").mkdir()
    Path("run/sweep.yaml").write_text(write({**sweep.resolved, "script": section}))
    check_unchanged(Path("run"), sweep)
    with pytest.raises(FolderError, match=r"script.lists: was value, is repeat"):
        check_unchanged(Path("run"), sweep_of("arguments: [fit]", "lists: repeat"))


def test_a_script_that_resumes_is_promoted_and_the_preview_says_why() -> None:
    stopping = sweep_of("arguments: [fit]")
    assert stopping.scheduler == Asha("stopping")
    assert "because a promoted script begins again" in preview(stopping).plain.replace("\n#  ", "")
    promoted = sweep_of("resume: --ckpt {checkpoint}", "checkpoint: '{folder}/*.ckpt'")
    assert promoted.scheduler == Asha("promotion")
    shown = preview(promoted).plain.replace("\n#  ", "")
    assert "type: promotion, which pauses trials" in shown
    assert "because script.resume says how a trial continues" in shown
    assert "# and behind it, once there is a checkpoint:\n# --ckpt '{checkpoint}'\n" in shown
    assert sweep_of("resume: []").scheduler == Asha("promotion")
    text = FILE.replace("searcher", "scheduler: {name: asha, type: stopping}\nsearcher")
    chosen = sweep_of("resume: []", text=text)
    assert chosen.scheduler == Asha("stopping")
    assert chosen.notes == ()


def test_the_preview_shows_the_first_file() -> None:
    shown = preview(
        sweep_of("config_file: {name: c.yaml, template: base.yaml, option: --config}")
    ).plain
    assert "# python train.py '--config={config_file}'\n" in shown
    assert "\n# the first c.yaml\n# lr: 0.1" in shown
    assert "\n# other: 2\n# seed: 7\n# flag: " in shown
