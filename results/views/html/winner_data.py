"""Which finalist won after the best trials were trained again, as the page says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raysweep.results.analysis.incumbent_bands import plain
from raysweep.results.analysis.retraining import RetrainingResult, chosen_finalist
from raysweep.results.storage.run_directory import RunDirectory

Data = dict[str, Any]


def confirmed_winner(run: RunDirectory, retrained: Sequence[RetrainingResult]) -> Data | None:
    """The finalist that won after its confirmation, beside the others; None without one.

    mean: of the metric on the validation split over its `retrainings`. others: the same of the
    other finalists, the best first. failed: retrainings that failed or diverged.
    """
    chosen = chosen_finalist(run)
    if chosen is None:
        return None
    others = [_confirmation(result) for result in retrained if result.trial != chosen.trial]
    others.sort(key=lambda other: float(other["mean"]), reverse=run.maximize)
    return {**_confirmation(chosen), "others": others}


def _confirmation(result: RetrainingResult) -> Data:
    values = result.validation
    mean = sum(values) / len(values)
    return {
        "trial": result.trial,
        "mean": plain(mean),
        "retrainings": len(values),
        "failed": result.n_failed,
    }
