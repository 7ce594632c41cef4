"""The keys of a sweep file, as pydantic models that forbid unknown ones.

The JSON Schema for editors is generated from these models. The options of a searcher or a scheduler
are the fields of its class, and `tune/load.py` checks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from raysweep.search_spaces.file.budget_spec import BudgetSpec, Duration
from raysweep.search_spaces.file.metric_spec import MetricSpec
from raysweep.search_spaces.file.objectives_spec import ObjectiveSpec
from raysweep.search_spaces.file.param_specs import STRICT, Entry, Positive, When
from raysweep.search_spaces.file.script_spec import ScriptSpec

Named = Annotated[str, Field(min_length=1)]


class ResourcesSpec(BaseModel):
    """The resources of a trial.

    `gpu`: a fraction below 1, a whole number, or auto. `accelerator`: the kind of GPU, such as
    A100, or kinds with the condition under which a trial needs them; others train on any. `custom`:
    resources defined by the cluster.
    `workers`: how many processes train it; with `spread` they may run on several machines, each
    with its part of the trial's resources. `fuse`: how many small trials at most train as one, or
    auto, which does so only while that is faster; their train function is a Recipe. `mps`: CUDA's
    MPS may be started on this machine, with which trials share a GPU better.
    """

    model_config = STRICT
    cpu: Annotated[float, Field(ge=0)] = 1.0
    gpu: Annotated[float, Field(ge=0)] | Literal["auto"] = 0.0
    workers: Positive = 1
    spread: bool = False
    accelerator: Named | dict[Named, When] | None = None
    custom: dict[str, Annotated[float, Field(ge=0)]] = {}
    fuse: Positive | Literal["auto"] = 1
    mps: bool = False

    @model_validator(mode="after")
    def _whole(self) -> ResourcesSpec:
        if self.gpu != "auto" and self.gpu > 1 and not self.gpu.is_integer():
            raise ValueError(f"gpu: a number above 1 must be whole, got {self.gpu:g}")
        if self.mps and self.gpu != "auto" and not 0 < self.gpu < 1:
            raise ValueError(
                "mps: it is for trials that share a GPU; expected gpu: auto or a fraction of 1, "
                f"got {self.gpu:g}"
            )
        return self

    @model_validator(mode="after")
    def _kinds(self) -> ResourcesSpec:
        if self.accelerator is not None and self.gpu == 0:
            raise ValueError("accelerator: expected gpu above 0: it is a kind of GPU")
        if isinstance(self.accelerator, dict) and (self.gpu == "auto" or self.fuse != 1):
            raise ValueError(
                "accelerator: conditions go with gpu as a number and without fuse: trials that "
                "share a worker or a measured device hold the same"
            )
        return self

    @model_validator(mode="after")
    def _fused(self) -> ResourcesSpec:
        if self.fuse == 1:
            return self
        if self.workers > 1:
            raise ValueError("fuse: trials that several processes train (workers) are not fused")
        if self.gpu != "auto" and self.gpu > 1:
            raise ValueError(f"fuse: trials are fused on one GPU, got {self.gpu:g}")
        return self

    @model_validator(mode="after")
    def _parts(self) -> ResourcesSpec:
        if not self.spread:
            return self
        if self.workers < 2:
            raise ValueError("spread: expected workers: 2 or more; one process runs on one machine")
        if self.gpu == "auto":
            raise ValueError(
                "spread: expected gpu as a number; what a process on another machine uses is not "
                "measured"
            )
        if self.gpu > self.workers and self.gpu % self.workers:
            raise ValueError(
                f"spread: {self.gpu:g} GPUs cannot be divided evenly between {self.workers} "
                "processes"
            )
        return self


class CheckpointsSpec(BaseModel):
    """How many ended trials keep their checkpoints, the best first.

    The checkpoint of the best model is always kept.
    """

    model_config = STRICT
    keep: Positive | Literal["all"] = "all"


class PlateauSpec(BaseModel):
    """Ends the sweep after so many trials of each searcher without a better one."""

    model_config = STRICT
    trials: Positive


class ConfirmSpec(BaseModel):
    """Trains the `top` configurations again with `seeds` fresh seeds.

    With `race`, one that is certainly worse than others gets no further seed.
    """

    model_config = STRICT
    top: Positive = 3
    seeds: Positive = 5
    race: bool = False


class SeedsPerTrialSpec(BaseModel):
    """Trains a configuration that could be the best with at most so many seeds."""

    model_config = STRICT
    most: Annotated[int, Field(ge=2)]


class NamedSpec(BaseModel):
    """A searcher, a scheduler or a callback with its options."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    name: str


def _form(value: object) -> str | None:
    if isinstance(value, str):
        return "<name>"
    if isinstance(value, Mapping | NamedSpec):
        return "<options>"
    return "<list>" if isinstance(value, list) else None


One = Annotated[
    Annotated[str, Tag("<name>")] | Annotated[NamedSpec, Tag("<options>")], Discriminator(_form)
]
Several = Annotated[
    Annotated[str, Tag("<name>")]
    | Annotated[NamedSpec, Tag("<options>")]
    | Annotated[list[One], Field(min_length=1), Tag("<list>")],
    Discriminator(_form),
]


def _none_if_off(value: Any) -> Any:
    """`none` for the other words with which people switch something off; false is one in YAML."""
    return "none" if value is False or value in ("off", "no") else value


def _absent_if_off(value: Any) -> Any:
    return None if _none_if_off(value) == "none" else value


OrNone = BeforeValidator(_none_if_off)
"""Of a key whose value `none` switches something off: `off`, `no` and false do it, too."""
OrAbsent = BeforeValidator(_absent_if_off)
"""Of a key that switches something on: `none`, `off`, `no` and false leave it off."""


class SweepSpec(BaseModel):
    """A sweep: the trainable, the space, the searchers, the scheduler and the budget."""

    model_config = STRICT
    trainable: str
    metric: MetricSpec
    metrics: Annotated[
        list[ObjectiveSpec] | None,
        Field(
            description=(
                "several metrics in place of metric: one to four objectives, and others with limits"
            )
        ),
    ] = None
    searcher: Several | None = None
    scheduler: Annotated[One | None, OrNone] = None
    budget: BudgetSpec
    script: ScriptSpec | None = None
    name: str | None = None
    parallel: Positive | Literal["auto"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 0
    seeds: Positive = 1
    seeds_per_trial: Annotated[
        Literal["auto"] | SeedsPerTrialSpec | None,
        OrAbsent,
        Field(
            description=(
                "auto: a configuration that was trained to its end and could be the best is "
                "trained with further seeds, at most 10, or {most: 5}; by default each has one"
            )
        ),
    ] = None
    resources: ResourcesSpec = ResourcesSpec()
    retries: Annotated[int, Field(ge=0)] = 1
    hang_after: Annotated[Duration | None, OrAbsent] = None
    on_oom: list[Literal["accumulate", "skip"]] = ["accumulate", "skip"]
    plateau: Annotated[PlateauSpec | None, OrAbsent] = None
    checkpoints: CheckpointsSpec = CheckpointsSpec()
    confirm: Annotated[ConfirmSpec | None, OrAbsent] = None
    track: list[Literal["wandb", "mlflow"]] = []
    notify: Annotated[
        list[str],
        Field(
            description=(
                "URLs that get a message at the end and when something happens: a webhook, Slack, "
                "Discord, or one of apprise; {env:NAME} keeps a URL out of the file"
            )
        ),
    ] = []
    callbacks: Annotated[
        list[One],
        Field(
            description=(
                "classes of your own that follow the sweep: package.module:Class or "
                "path/to/file.py:Class"
            )
        ),
    ] = []
    executor: Annotated[
        One | None,
        Field(
            description=(
                "a class of your own that trains the trials in place of Ray: package.module:Class "
                "or path/to/file.py:Class"
            )
        ),
    ] = None
    enqueue: Annotated[
        list[dict[str, Any]] | None,
        Field(
            description=(
                "configurations that each searcher's study trains first, as {lr: 0.1, width: 64}; "
                "what has a centre (around) may be left out"
            )
        ),
    ] = None
    memory: Annotated[
        Literal["auto", "none"] | Annotated[list[str], Field(min_length=1)],
        OrNone,
        Field(
            description=(
                "earlier runs that the searcher auto learns from: auto for the finished ones in "
                "the same folder, none, or a list of runs and of folders that hold runs"
            )
        ),
    ] = "auto"
    space: dict[str, Entry]
    constraints: list[str] = []
