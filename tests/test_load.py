"""A file becomes a sweep: registries, options, the resolved form, and `--dry-run`."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from raysweep.schedulers import SCHEDULERS, Asha
from raysweep.schedulers.no_stopping import NoStopping
from raysweep.search_spaces.file.document import SpecificationError
from raysweep.search_spaces.file.reader import SHIPPED
from raysweep.search_spaces.file.writer import write
from raysweep.tune.cli.dry_run import cells, first, preview
from raysweep.tune.load import load_sweep
from raysweep.tune.searchers import SEARCHERS
from raysweep.tune.searchers.random_grid import Grid
from raysweep.tune.sweep import Budget, Confirm, Metric, Resources

FILE = """\
trainable: trainables.cnn:train
metric: {name: val_accuracy, goal: maximize, target: 0.99}
searcher: [grid, random, {name: bohb, random_fraction: 0.2}]
scheduler: {name: asha, type: stopping, grace: 1, eta: 3}
budget: {trials: 27, epochs: 9, time: 1h30m}
seed: 3
resources: {cpu: 2, gpu: 0.25, custom: {tpu: 1}}
space:
  lr: {float: [1e-4, 1.0], log: true}
  channels: {int: [8, 64], step: 8}
  optimizer: {choice: [sgd, adam]}
  momentum: {float: [0.5, 0.99], when: {optimizer: sgd}}
  width: {expr: 2 * channels}
  data: digits
constraints: ["lr * channels <= 60"]
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(FILE)


def mistake(*overrides: str) -> str:
    with pytest.raises(SpecificationError) as error:
        load_sweep("s.yaml", overrides)
    return str(error.value)


def test_every_key_reaches_the_sweep() -> None:
    sweep = load_sweep(
        "s.yaml",
        [
            "seeds=2",
            "parallel=3",
            "retries=0",
            "on_oom=[skip]",
            "plateau.trials=7",
            "name=mine",
            "checkpoints.keep=4",
            "confirm.top=2",
            "track=[wandb]",
        ],
    )
    assert sweep.trainable == "raysweep.trainables.cnn:train"
    assert sweep.metric == Metric("val_accuracy", "maximize", 0.99)
    assert dict(sweep.searchers) == {
        "grid": SEARCHERS["grid"](),
        "random": SEARCHERS["random"](),
        "bohb": SEARCHERS["bohb"](random_fraction=0.2),
    }
    assert sweep.scheduler == Asha(type="stopping", grace=1, eta=3)
    assert sweep.budget == Budget(27, 9, None, 5400.0)
    assert sweep.resources == Resources(2.0, 0.25, {"tpu": 1.0})
    assert (sweep.seed, sweep.seeds, sweep.parallel, sweep.retries, sweep.on_oom) == (
        3,
        2,
        3,
        0,
        ("skip",),
    )
    assert (sweep.plateau, sweep.name, sweep.keep, sweep.confirm, sweep.track) == (
        7,
        "mine",
        4,
        Confirm(2, 5),
        ("wandb",),
    )
    assert [study.name for study in sweep.studies()] == [
        "grid.0",
        "random.0",
        "bohb.0",
        "grid.1",
        "random.1",
        "bohb.1",
    ]


def test_what_is_not_written() -> None:
    Path("s.yaml").write_text(
        "trainable: a:b\nmetric: {name: loss, goal: minimize}\nbudget: {epochs: 3, trials: 2}\n"
        "space: {x: {float: [0, 1]}}\n"
    )
    sweep = load_sweep("s.yaml")
    assert list(sweep.searchers) == ["auto" if "auto" in SEARCHERS else "tpe"]
    assert sweep.scheduler == Asha(type="promotion", grace="auto")
    assert (sweep.seed, sweep.seeds, sweep.parallel, sweep.retries) == (0, 1, None, 1)
    assert (sweep.plateau, sweep.name, sweep.keep, sweep.confirm, sweep.track) == (
        None,
        None,
        None,
        None,
        (),
    )
    assert sweep.resources == Resources()


def test_a_script_that_does_not_say_how_it_resumes_is_not_promoted() -> None:
    """Unless its file says so: then it has checkpoints of its own."""
    Path("train.py").touch()
    text = (
        "trainable: train.py\nmetric: {name: loss, goal: minimize}\n"
        "budget: {epochs: 3, trials: 2}\nspace: {x: {float: [0, 1]}}\n"
    )
    Path("script.yaml").write_text(text)
    stopping = load_sweep("script.yaml")
    assert stopping.scheduler == Asha(type="stopping", grace=1)
    assert "a promoted script begins again from its first epoch" in " ".join(stopping.notes)
    assert "which promotes no trial" in preview(stopping).plain.replace("\n#  ", "")
    Path("script.yaml").write_text(text + "scheduler: {name: asha, grace: 2}\n")
    assert load_sweep("script.yaml").scheduler == Asha(type="stopping", grace=2)
    assert load_sweep("script.yaml").notes == stopping.notes
    for type_ in ("promotion", "stopping"):
        Path("script.yaml").write_text(text + f"scheduler: {{name: asha, type: {type_}}}\n")
        assert load_sweep("script.yaml").scheduler == Asha(type_)
        assert load_sweep("script.yaml").notes == ()


@pytest.mark.parametrize("off", ["none", "off", "no", "false"])
def test_what_is_switched_off_by_any_of_the_words_for_it(off: str) -> None:
    keys = ("memory", "scheduler", "confirm", "plateau", "seeds_per_trial", "hang_after")
    sweep = load_sweep("s.yaml", ["searcher=auto", *(f"{key}={off}" for key in keys)])
    assert (sweep.memory, sweep.resolved["memory"]) == ("none", "none")
    assert sweep.scheduler == NoStopping()
    assert (sweep.confirm, sweep.plateau, sweep.most_seeds, sweep.hang_after) == (
        None,
        None,
        1,
        None,
    )
    assert not {"confirm", "plateau", "seeds_per_trial", "hang_after"} & sweep.resolved.keys()


@pytest.mark.parametrize("value", ["0", "null", "true", "[]", "on"])
def test_no_other_value_switches_the_memory_off(value: str) -> None:
    assert mistake(f"memory={value}").startswith("--set memory: expected ")


def test_an_automatic_gpu_share_is_said() -> None:
    assert load_sweep("s.yaml", ["resources.gpu=auto"]).resources == Resources(
        2.0, 0.0, {"tpu": 1.0}, auto_gpu=True
    )


@pytest.mark.parametrize(
    "changes",
    [
        (),
        ("seeds=2", "searcher=null"),
        ("resources.workers=2", "resources.spread=true"),
        ("resources.gpu=auto", "checkpoints.keep=2", "confirm.top=1"),
    ],
)
def test_the_resolved_form_reads_back_to_the_same_sweep(changes: tuple[str, ...]) -> None:
    sweep = load_sweep("s.yaml", changes)
    Path("elsewhere").mkdir()
    Path("elsewhere/sweep.yaml").write_text(write(sweep.resolved))
    again = load_sweep("elsewhere/sweep.yaml")
    assert again == sweep
    assert again.resolved == sweep.resolved


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_file_is_a_sweep(path: Path) -> None:
    sweep = load_sweep(path.name)
    Path("sweep.yaml").write_text(write(sweep.resolved))
    assert load_sweep("sweep.yaml") == sweep


def test_every_default_is_written_out() -> None:
    resolved = load_sweep("s.yaml").resolved
    assert resolved["searcher"][0] == {"name": "grid", "points": SEARCHERS["grid"]().points}
    assert resolved["budget"]["time"] == 5400.0
    assert resolved["retries"] == 1
    assert list(resolved)[-2:] == ["space", "constraints"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            "scheduler.etta=3",
            "--set scheduler.etta: unknown key 'etta' in scheduler asha; did you mean 'eta'?",
        ),
        (
            "scheduler.grace=1.5",
            "--set scheduler.grace: scheduler asha: grace: expected a whole number",
        ),
        ("scheduler.grace=0", "--set scheduler.grace: scheduler asha: grace: expected 1 or more"),
        (
            "scheduler.eta=1",
            "--set scheduler.eta: scheduler asha: eta: expected more than 1, got 1",
        ),
        (
            "scheduler={name: asha, quorum: 2}",
            "--set scheduler: scheduler asha: quorum is an option of type: stopping",
        ),
        (
            "scheduler.type=stoping",
            "--set scheduler.type: scheduler asha: type: expected 'promotion' or 'stopping'",
        ),
        (
            "scheduler=promotion",
            "--set scheduler: scheduler promotion has another name now: "
            "{name: asha, type: promotion}",
        ),
        (
            "scheduler={name: promotion, grace: 1}",
            "--set scheduler: scheduler promotion has another name now: "
            "{name: asha, type: promotion}",
        ),
        ("scheduler=ahsa", "--set scheduler: unknown scheduler 'ahsa'; expected one of "),
        ("searcher=[grid, rondom]", "--set searcher: unknown searcher 'rondom'; expected one of "),
        (
            "searcher.2.random_fraction=2",
            "--set searcher.2.random_fraction: searcher bohb: random_fraction: expected 1 or "
            "less, got 2",
        ),
        (
            "searcher.2.random_fraction=few",
            "--set searcher.2.random_fraction: searcher bohb: random_fraction: expected a number, "
            "got 'few'",
        ),
        (
            "searcher.2.random_fraction=true",
            "--set searcher.2.random_fraction: searcher bohb: random_fraction: expected a number, "
            "got true",
        ),
        (
            "searcher.0={name: grid, _cells: 3}",
            "--set searcher.0: unknown key '_cells' in searcher grid",
        ),
        (
            "trainable=nowhere.py:train",
            "--set trainable: trainable: there is no file 'nowhere.py' beside the specification",
        ),
        (
            "trainable=trainables.cnn",
            "--set trainable: trainable: expected package.module:function or "
            "path/to/file.py:function, got 'trainables.cnn'",
        ),
    ],
)
def test_a_mistake_in_an_option_is_one_line(change: str, line: str) -> None:
    assert mistake(change).startswith(line)


def test_the_example_of_the_documentation() -> None:
    Path("cnn.yaml").write_text((SHIPPED / "cnn.yaml").read_text().replace("eta: 3", "etta: 3"))
    with pytest.raises(
        SpecificationError,
        match=r"^cnn.yaml:6: unknown key 'etta' in scheduler asha; did you mean 'eta'\?$",
    ):
        load_sweep("cnn.yaml")


def test_an_option_that_must_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Picky:
        file: str
        parts: tuple[int, ...] = (1,)

        def __post_init__(self) -> None:
            if not self.parts:
                raise ValueError("parts: expected one at least")

    monkeypatch.setitem(SEARCHERS, "picky", Picky)
    assert mistake("searcher=picky") == "--set searcher: missing key 'file' in searcher picky"
    assert (
        mistake("searcher={name: picky, file: x, parts: []}")
        == "--set searcher: searcher picky: parts: expected one at least"
    )
    made: dict[str, object] = dict(
        load_sweep("s.yaml", ["searcher={name: picky, file: x, parts: [1, 2]}"]).searchers
    )
    assert made == {"picky": Picky("x", (1, 2))}


def test_one_searcher_twice_with_other_options() -> None:
    sweep = load_sweep("s.yaml", ["searcher=[bohb, {name: bohb, random_fraction: 0.5}]"])
    assert sweep.searchers == {
        "bohb": SEARCHERS["bohb"](),
        "bohb_2": SEARCHERS["bohb"](random_fraction=0.5),
    }


def test_a_grid_that_no_memory_holds_is_refused() -> None:
    line = mistake("space.lr.points=5000", "space.momentum.points=5000")
    assert line.startswith(
        "s.yaml:3: searcher grid: the grid has up to 150,000,000 cells; at most 100,000 are tried"
    )


def test_a_trainable_is_looked_for_beside_the_file_then_here(tmp_path: Path) -> None:
    Path("here.py").touch()
    Path("sub").mkdir()
    Path("sub/s.yaml").write_text(FILE)
    assert (
        load_sweep("sub/s.yaml", ["trainable=here.py:train"]).trainable
        == f"{tmp_path.resolve()}/here.py:train"
    )
    Path("sub/here.py").touch()
    assert (
        load_sweep("sub/s.yaml", ["trainable=here.py:train"]).trainable
        == f"{tmp_path.resolve()}/sub/here.py:train"
    )


@pytest.mark.parametrize("registry", [SEARCHERS, SCHEDULERS], ids=["searchers", "schedulers"])
def test_every_option_in_the_registries_has_a_default_and_a_type_that_yaml_has(
    registry: dict[str, type[Any]],
) -> None:
    for name, kind in registry.items():
        for field in fields(kind):
            if field.init:
                value = getattr(kind(), field.name)
                assert (
                    isinstance(value, bool | int | float | str | tuple | dict) or value is None
                ), f"{name}.{field.name}"


def test_the_preview_shows_the_file_the_first_configurations_and_the_cells() -> None:
    sweep = load_sweep("s.yaml")
    text = preview(sweep).plain
    assert text.startswith(write(sweep.resolved).rstrip())
    for study in sweep.studies():
        configs = first(sweep, study)
        assert len(configs) == 5
        assert all(config in sweep.space for config in configs)
        assert f"first configurations of {study.name}" in text
    assert f"{configs[0]['lr']:.4g}" in text
    count = sum(1 for _ in sweep.space.grid(SEARCHERS["grid"]().points))
    assert f"the grid has {count} cells" in text


def test_the_preview_of_a_sweep_without_a_grid_speaks_of_none() -> None:
    assert "grid" not in preview(load_sweep("s.yaml", ["searcher=random"])).plain


def test_the_preview_fits_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        (SHIPPED / "mlp_conditional.yaml")
        .read_text()
        .replace("data: digits", "architecture: {choice: [a-very-long-name-of-a-network, true]}")
    )
    tables = preview(load_sweep(str(path))).plain.split("# the first")[1:]
    assert len(tables) == 2
    assert all(len(line) <= 80 for line in "".join(tables).splitlines())


def test_a_preview_of_what_has_little_to_show(tmp_path: Path) -> None:
    none = load_sweep("cnn.yaml", ["space={data: digits}"])
    assert (
        "# the first configurations of grid\n# all alike, for the space has no parameter"
        in preview(none).plain
    )
    assert "# the grid has 1 cell\n# the space has nothing to tune" in preview(none).plain
    empty = preview(load_sweep("cnn.yaml", ["constraints=[channels == 16]"])).plain
    assert "# the first configurations of grid\n# none\n" in empty
    assert "# the grid has 0 cells" in empty
    assert (
        preview(load_sweep("cnn.yaml", ["seeds=30"])).plain.count("# the first configurations") == 4
    )


@pytest.mark.parametrize("space", ["{}", "{data: digits}", "{data: {choice: [digits]}}"])
def test_a_space_with_nothing_to_tune_is_said(space: str) -> None:
    """Several trials of one configuration measure what its seed does, so it is no mistake."""
    assert load_sweep("s.yaml").untuned == ""
    alike = ["constraints=[]", f"space={space}"]
    assert load_sweep("s.yaml", alike).untuned.startswith("the space has nothing to tune: every")
    assert load_sweep("s.yaml", [*alike, "budget.trials=1"]).untuned == ""


def test_how_few_draws_pass_is_said_as_a_ratio() -> None:
    rare = load_sweep(
        "cnn.yaml", ["constraints=[lr < 2e-4 and channels == 8 and batch_size == 32]"]
    )
    assert re.search(r"# 1 in \d+ draws satisfy the constraints", preview(rare).plain)


def test_the_cells_of_a_plain_space_are_a_product() -> None:
    sweep = load_sweep("cnn.yaml")
    assert cells(sweep, Grid()) == ("54 cells (3 x 3 x 3 x 2)", 54)


def test_a_preview_imports_neither_ray_nor_torch() -> None:
    code = (
        "import sys; from raysweep.tune.load import load_sweep; "
        "from raysweep.tune.cli.dry_run import preview; print(preview(load_sweep('cnn.yaml')));"
        "print('HEAVY', "
        "sorted({'torch', 'ray', 'hyperopt', 'hpbandster', 'pandas', 'scipy', 'sklearn'} & "
        "set(sys.modules)))"
    )
    root = Path(__file__).parents[1]
    started = time.perf_counter()
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert shown.stdout.endswith("HEAVY []\n"), (
        f"{shown.stdout[-200:]} after {time.perf_counter() - started:.1f} s"
    )
