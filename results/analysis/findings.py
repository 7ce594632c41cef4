"""A comparison in sentences and tables: what can be said, and what the data cannot tell."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raysweep.arrays import FloatArray
from raysweep.formatting import DASH, clean, duration, html_table, html_text, number, plural
from raysweep.history import APPLIED
from raysweep.results.analysis import statistics
from raysweep.results.analysis.compare import ALPHA, HYPERVOLUME, Comparison, Pair
from raysweep.results.storage import ledger
from raysweep.results.storage.run_directory import RunDirectory

MAX_MORE_SEEDS = 1000
"""If more seeds than this would be needed, two searchers are called as good as equal."""
MAX_PAIRWISE = 3
"""Up to this many searchers, each pair gets a sentence; above it, only the leader's pairs do."""
UNEVEN_RATIO = 1.05
"""If a study spent more than this times what another one did, the findings say so."""
_TEST_NAMES = {"paired permutation": "paired", "permutation": "unpaired"}
_YES_NO = {True: "yes", False: "no"}


def findings(comparison: Comparison) -> list[str]:
    """The findings as sentences, the most important first."""
    spending = _uneven_spending(comparison)
    # With one searcher there is nothing to test, and the findings end here.
    if len(comparison.labels) < 2:
        return [f"{comparison.labels[0]} alone: nothing to compare with", *spending]
    if all(pair.test is None for pair in comparison.pairs):
        first = [
            f"{_leaders_by_mean(comparison)} with one search seed each, "
            "which cannot tell luck from skill; --seeds 5 or more can"
        ]
    elif len(comparison.labels) <= MAX_PAIRWISE:
        first = [pair_finding(pair, comparison) for pair in comparison.pairs]
    else:
        first = leader_findings(comparison)
    return [
        *first,
        *speedups(comparison),
        *_infeasible(comparison),
        *_remembering(comparison),
        *_exhausted(comparison),
        *spending,
    ]


def _infeasible(comparison: Comparison) -> list[str]:
    """The searchers with studies in which no trial has kept the limits."""
    lines = []
    for label in comparison.labels:
        studies = [study for study in comparison.studies if study.label == label]
        if count := sum(study.is_infeasible for study in studies):
            within = "its study" if len(studies) == 1 else f"{count} of its {len(studies)} studies"
            lines.append(
                f"{label}: no trial of {within} has kept the limits; that counts as the worst"
            )
    return lines


def _remembering(comparison: Comparison) -> list[str]:
    """The searchers that had learnt from earlier runs, which the others may not have had."""
    found = [study.label for study in comparison.studies if study.remembers]
    return [
        f"{label} began with what earlier runs had told (memory), so this is no comparison of "
        "searchers alone"
        for label in dict.fromkeys(found)
    ]


def pair_finding(pair: Pair, comparison: Comparison) -> str:
    """What the comparison of two searchers shows."""
    if pair.test is None or pair.p is None:
        return f"{pair.better} and {pair.worse} share fewer than two search seeds: not tested"
    values = f"{_measured(pair.better, comparison)} against {_mean(pair.worse, comparison)}"
    seeds = f"{plural(pair.seeds, 'seed')}{_correction(comparison)}"
    test = f"p = {number(pair.p, 2)}, {pair.test.kind} over {seeds}"
    if pair.is_significant:
        return f"{pair.better} is better than {pair.worse}: {values} ({test})"
    return (
        f"no detectable difference between {pair.better} and {pair.worse}: {values} ({test}); "
        f"{_needed(pair, comparison)}"
    )


def leader_findings(comparison: Comparison) -> list[str]:
    """Which searchers the leader is significantly better than, and which not."""
    name, pairs = leader(comparison), leader_pairs(comparison)
    significant = [pair for pair in pairs if pair.is_significant]
    others = [pair for pair in pairs if not pair.is_significant]
    mean = _measured(name, comparison)
    seeds = plural(max((pair.seeds for pair in pairs), default=0), "seed")
    test = f"{seeds}{_correction(comparison)}"
    lines = []
    if significant:
        highest_p = number(max(pair.p for pair in significant if pair.p is not None), 2)
        beaten = ", ".join(_other(pair, comparison) for pair in significant)
        lines.append(f"{name} is better, with {mean}, than {beaten} (p ≤ {highest_p}, {test})")
    if others:
        equal = ", ".join(_other(pair, comparison, with_seeds=True) for pair in others)
        lines.append(f"{name} ({mean}) cannot be told from {equal} ({test})")
    return lines


def leader(comparison: Comparison) -> str:
    """The searcher with the best mean."""
    return by_mean(comparison)[0]


def leader_pairs(comparison: Comparison) -> list[Pair]:
    """The pairs with the leader, the best of the other searchers first."""
    name = leader(comparison)
    pairs = [pair for pair in comparison.pairs if name in (pair.better, pair.worse)]
    return sorted(pairs, key=lambda pair: pair.difference)


def by_mean(comparison: Comparison) -> list[str]:
    """The searchers, the best mean first."""
    return sorted(comparison.labels, key=lambda label: float(comparison.finals[label].mean()))


def speedups(comparison: Comparison) -> list[str]:
    """How much of the budget each searcher needed to match the baseline's end."""
    baseline = comparison.baseline
    if baseline not in comparison.labels:
        return []
    fractions = {
        label: comparison.budget_fraction_to_match(label, baseline)
        for label in comparison.labels
        if label != baseline
    }
    sooner = sorted(
        (fraction, label)
        for label, fraction in fractions.items()
        if fraction is not None and fraction < 1
    )
    what = _what(comparison)
    # A sentence for each of a few searchers, one sentence for many.
    if len(sooner) > MAX_PAIRWISE:
        parts = ", ".join(f"{fraction:.0%} by {label}" for fraction, label in sooner)
        return [f"{baseline}'s final {what} was reached after {parts} of the {comparison.unit}"]
    return [
        f"{label} reached {baseline}'s final {what} after {fraction:.0%} of the {comparison.unit}"
        for fraction, label in sooner
    ]


def as_metric(loss: float, comparison: Comparison) -> float:
    """A loss as the user's metric."""
    if comparison.maximize:
        return 0.0 - loss  # no -0
    return loss


def describe_budget(spent: float, comparison: Comparison) -> str:
    """An amount of what studies spend, in words."""
    if comparison.unit == "epochs":
        return plural(round(spent), "epoch")
    if comparison.unit == "GPU-seconds":
        return f"{duration(spent)} of GPU"
    return f"{duration(spent)} of training"


def ranking(comparison: Comparison) -> list[dict[str, str]]:
    """The table of searchers, the best mean first; a cell with a dash has no value.

    The columns are the seeds, the mean metric at the common budget and its interval, the mean
    regret, the probability of being the best, and when the baseline's end was matched.
    """
    probabilities = comparison.best_probabilities or {}
    rows = []
    for label in by_mean(comparison):
        finals = comparison.finals[label]
        fraction = None
        # The baseline matches its own end at 100 % by definition: not worth a cell.
        if comparison.baseline in comparison.labels and label != comparison.baseline:
            fraction = comparison.budget_fraction_to_match(label, comparison.baseline)
        rows.append(
            {
                "searcher": label,
                "seeds": str(len(finals)),
                f"mean {comparison.metric}": _mean(label, comparison),
                _interval_name(comparison): interval_text(finals, comparison),
                "mean regret": number(float(comparison.mean_regrets[label].mean()), 3),
                "P(best)": _percent(probabilities.get(label)),
                f"{comparison.baseline}'s end at": _percent(fraction),
            }
        )
    return rows


def interval_text(finals: FloatArray, comparison: Comparison) -> str:
    """The interval of the mean over seeds (with few seeds their range), as the user's metric."""
    if len(finals) < 2:
        return DASH
    ends = sorted(as_metric(float(end), comparison) for end in statistics.interval(finals))
    return f"{number(ends[0])} … {number(ends[1])}"


def significance_rows(comparison: Comparison) -> list[dict[str, str]]:
    """The table of tests: all pairs of few searchers, of many the leader's pairs."""
    pairs = comparison.pairs
    if len(comparison.labels) > MAX_PAIRWISE:
        pairs = leader_pairs(comparison)
    return [
        {
            "better": pair.better,
            "worse": pair.worse,
            "difference": number(pair.difference, 3),
            "p": number(pair.test.p, 2),
            "Holm": number(pair.p, 2),
            "test": _TEST_NAMES[pair.test.kind],
            "significant": _YES_NO[pair.is_significant],
        }
        for pair in pairs
        if pair.test
    ]


def tables(comparison: Comparison) -> RenderableType:
    """The output of `raysweep compare`: the ranking, the tests and the findings."""
    # The caption names the metric; without it in a heading the table fits into 80 columns.
    rows = [
        {name.removesuffix(f" {comparison.metric}"): cell for name, cell in row.items()}
        for row in ranking(comparison)
    ]
    parts: list[RenderableType] = [_grid(rows, comparison.labels), _dim(_caption(comparison))]
    if tests := significance_rows(comparison):
        parts += [Text(), _grid(tests, comparison.labels), _dim(_test_caption(comparison))]
    lines = [Text(f"· {clean(line)}") for line in findings(comparison)]
    return Group(*parts, Text(), *lines)


def html_tables(comparison: Comparison) -> str:
    """The same as HTML, for a notebook. All text is escaped."""
    parts = [html_table(ranking(comparison)), _paragraph(_caption(comparison))]
    if tests := significance_rows(comparison):
        parts += [html_table(tests), _paragraph(_test_caption(comparison))]
    items = "".join(f"<li>{html_text(line)}</li>" for line in findings(comparison))
    return "".join([*parts, f"<ul>{items}</ul>"])


def different_lengths(run: RunDirectory, name: str = "trial") -> list[str]:
    """A sentence if trials were allowed to train longer while the sweep ran; else nothing.

    name: what a trial of this run is called.
    """
    lengths = []
    for event in run.events:
        if event["event"] == "opened" and event.get("levels"):
            lengths.append(int(event["levels"][-1]))  # the last rung is the full training
        elif event.get("outcome") == APPLIED and "epochs" in event:
            lengths.append(int(event["epochs"]))
    if not lengths or max(lengths) == min(lengths):
        return []
    first, last = (run.interval.trained(length) for length in (min(lengths), max(lengths)))
    trials = [trial for trial in run.all_trials() if trial.best is not None]
    longer = sum(trial.epoch > min(lengths) for trial in trials)
    return [
        f"{name}s have different lengths: at most {first} at first, {last} later; "
        f"{longer:,} of {plural(len(trials), name)} trained more than {first}"
    ]


def reliability(run: RunDirectory) -> list[str]:
    """What retrained finalists and audited stops show of a run; [] if it has neither."""
    from raysweep.results.analysis.retrained_front import front_findings
    from raysweep.results.analysis.retraining import (
        FOLDER,
        retraining_findings,
        retraining_results,
        winner_finding,
    )
    from raysweep.results.analysis.stopping_audit import audit

    lines = winner_finding(run)
    lines += front_findings(run)
    lines += retraining_findings(retraining_results(run), run.maximize, run.metric)
    lines += different_lengths(run)
    if (run.path / FOLDER / ledger.NAME).is_file():
        lines += different_lengths(RunDirectory(run.path / FOLDER), "retraining")
    if found := audit(run):
        lines.append(found["finding"])
    return [f"· {clean(line)}" for line in lines]


def _what(comparison: Comparison) -> str:
    """What studies are compared by, in words: with several objectives it is no single value."""
    return "hypervolume of the front" if comparison.metric == HYPERVOLUME else "value"


def _measured(label: str, comparison: Comparison) -> str:
    """The mean of a searcher, with what it is of if that is no metric of the user."""
    what = f"{_what(comparison)} " if comparison.metric == HYPERVOLUME else ""
    return what + _mean(label, comparison)


def _mean(label: str, comparison: Comparison) -> str:
    return number(as_metric(float(comparison.finals[label].mean()), comparison))


def _percent(fraction: float | None) -> str:
    if fraction is None:
        return DASH
    return f"{fraction:.0%}"


def _caption(comparison: Comparison) -> str:
    budget = describe_budget(comparison.budget, comparison)
    if comparison.metric == HYPERVOLUME:
        return f"{_what(comparison)} (from 0 to 1, more is better) at {budget} for each study"
    return f"{comparison.metric} at {budget} for each study"


def _test_caption(comparison: Comparison) -> str:
    caption = "p: permutation test of the means over seeds"
    if len(comparison.pairs) > 1:
        caption += f"; Holm: corrected for {plural(len(comparison.pairs), 'pair')}"
    return caption


def _dim(text: str) -> Text:
    return Text(clean(text), style="dim")


def _paragraph(text: str) -> str:
    return f"<p>{html_text(text)}</p>"


def _grid(rows: Sequence[dict[str, str]], labels: tuple[str, ...]) -> Table:
    """A table without empty columns. Names of searchers and intervals are never wrapped."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    names = [name for name in rows[0] if any(row[name] != DASH for row in rows)]
    for name in names:
        is_whole = all(row[name] in labels or " … " in row[name] for row in rows)
        table.add_column(Text(clean(name)), justify="right", no_wrap=is_whole)
    table.columns[0].justify = "left"  # names at the left, everything else flush right
    for row in rows:
        table.add_row(*(Text(clean(row[name])) for name in names))
    return table


def _interval_name(comparison: Comparison) -> str:
    # All rows share the column, so the searcher with the fewest seeds decides its heading.
    fewest = min(len(values) for values in comparison.finals.values())
    return statistics.interval_name(fewest)


def _leaders_by_mean(comparison: Comparison) -> str:
    means = {label: float(finals.mean()) for label, finals in comparison.finals.items()}
    first = [label for label, mean in means.items() if mean == min(means.values())]
    if len(first) == 1:
        return f"{first[0]} is ahead"
    return f"{', '.join(first[:-1])} and {first[-1]} found the same {_what(comparison)}"


def _other(pair: Pair, comparison: Comparison, with_seeds: bool = False) -> str:
    """The leader's opponent with its mean, and the seeds it would take to tell them apart."""
    (other,) = {pair.better, pair.worse} - {leader(comparison)}
    facts = _mean(other, comparison)
    if with_seeds and pair.more_seeds and pair.more_seeds <= MAX_MORE_SEEDS:
        facts += f", about {pair.more_seeds:,} more seeds"
    return f"{other} ({facts})"


def _correction(comparison: Comparison) -> str:
    count = len(comparison.pairs)
    if count < 2:
        return ""
    return f", corrected for {plural(count, 'pair')}"


def _needed(pair: Pair, comparison: Comparison) -> str:
    """What it would take to show the difference between a pair that is not significant."""
    assert pair.test is not None
    if pair.test.least > ALPHA:
        least = f"with {plural(pair.seeds, 'seed')} no difference at all could be shown"
        if pair.more_seeds is None:
            return least
        return f"{least}; about {plural(pair.more_seeds, 'more seed')} would be needed"
    if pair.more_seeds is None:
        if pair.difference == 0:
            return f"every seed gave both the same {_what(comparison)}"
        return "the seeds differ too little to say more"
    if pair.more_seeds > MAX_MORE_SEEDS:
        return "they are as good as equal: more than a thousand seeds would be needed"
    return (
        f"about {plural(pair.more_seeds, 'more seed')} would be needed "
        "to show a difference of this size"
    )


def _exhausted(comparison: Comparison) -> list[str]:
    """Which searchers had no further configuration before the common budget was spent."""
    ends: dict[str, float] = {}
    for study in comparison.studies:
        if study.exhausted and study.total < comparison.budget:
            ends[study.label] = max(study.total, ends.get(study.label, 0.0))
    return [
        f"{label} had nothing more to try after {describe_budget(end, comparison)}"
        for label, end in ends.items()
    ]


def _uneven_spending(comparison: Comparison) -> list[str]:
    """A sentence if the studies spent different amounts, else nothing."""
    # Seconds are never equal to the last digit, nor are the epochs of trials that run at the end.
    least, most = comparison.spent
    if most <= UNEVEN_RATIO * least:
        return []
    between = f"{describe_budget(least, comparison)} and {describe_budget(most, comparison)}"
    return [
        f"studies spent between {between}; all are compared at the least. "
        "Give budget.total_epochs to make them spend alike"
    ]
