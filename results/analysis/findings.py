"""A comparison in words and tables: what can be said, and what the data cannot tell."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raysweep.formatting import clean, duration, number, plural
from raysweep.results.analysis import statistics
from raysweep.results.analysis.compare import LEVEL, Comparison, Pair
from raysweep.results.storage.run_directory import RunDirectory

HOPELESS = 1000
FEW = 3
"""Up to so many searchers, each pair gets its sentence."""
UNEVEN = 1.05


def verdict(comparison: Comparison) -> list[str]:
    """Sentences, the most important first."""
    lines = [_spending(comparison)] if comparison.spent[1] > UNEVEN * comparison.spent[0] else []
    if len(comparison.labels) < 2:
        return [f"{comparison.labels[0]} alone: nothing to compare with", *lines]
    if all(pair.test is None for pair in comparison.pairs):
        said = [
            f"{_ahead(comparison)} with one search seed each, which cannot tell luck from skill; --seeds 5 or more can"
        ]
    else:
        said = (
            [sentence(pair, comparison) for pair in comparison.pairs]
            if len(comparison.labels) <= FEW
            else about_leader(comparison)
        )
    return [*said, *equivalents(comparison), *_ended(comparison), *lines]


def _ahead(comparison: Comparison) -> str:
    means = {label: float(finals.mean()) for label, finals in comparison.finals.items()}
    first = [label for label, mean in means.items() if mean == min(means.values())]
    return (
        f"{first[0]} is ahead"
        if len(first) == 1
        else f"{', '.join(first[:-1])} and {first[-1]} found the same value"
    )


def sentence(pair: Pair, comparison: Comparison) -> str:
    """What a pair of searchers shows."""
    values = [
        number(value(float(comparison.finals[label].mean()), comparison))
        for label in (pair.better, pair.worse)
    ]
    if pair.test is None or pair.p is None:
        return f"{pair.better} and {pair.worse} share fewer than two search seeds: not tested"
    how = f"p = {number(pair.p, 2)}, {pair.test.kind} over {plural(pair.seeds, 'seed')}{_holm(comparison)}"
    if pair.detected:
        return f"{pair.better} is better than {pair.worse}: {values[0]} against {values[1]} ({how})"
    return f"no detectable difference between {pair.better} and {pair.worse}: {values[0]} against {values[1]} ({how}); {_needed(pair)}"


def about_leader(comparison: Comparison) -> list[str]:
    """Many searchers: whom the one with the best mean is better than, and from whom it cannot be told apart."""
    name, pairs = leader(comparison), leaders(comparison)
    surely, perhaps = (
        [pair for pair in pairs if pair.detected],
        [pair for pair in pairs if not pair.detected],
    )
    mean = number(value(float(comparison.finals[name].mean()), comparison))
    how = f"{plural(max((pair.seeds for pair in pairs), default=0), 'seed')}{_holm(comparison)}"
    lines = []
    if surely:
        least = number(max(pair.p for pair in surely if pair.p is not None), 2)
        lines.append(
            f"{name} is better, with {mean}, than {_named(surely, comparison)} (p ≤ {least}, {how})"
        )
    if perhaps:
        lines.append(
            f"{name} ({mean}) cannot be told from {_named(perhaps, comparison, needed=True)} ({how})"
        )
    return lines


def leader(comparison: Comparison) -> str:
    """The searcher with the best mean."""
    return min(comparison.labels, key=lambda label: float(comparison.finals[label].mean()))


def leaders(comparison: Comparison) -> list[Pair]:
    """The pairs of the leader, the best of the others first."""
    mine = [pair for pair in comparison.pairs if leader(comparison) in (pair.better, pair.worse)]
    return sorted(mine, key=lambda pair: pair.difference)


def equivalents(comparison: Comparison) -> list[str]:
    """How much sooner each searcher was where the baseline ended."""
    baseline = comparison.baseline
    if baseline not in comparison.labels:
        return []
    parts = {
        label: comparison.reached(label, baseline)
        for label in comparison.labels
        if label != baseline
    }
    sooner = sorted((part, label) for label, part in parts.items() if part is not None and part < 1)
    if len(sooner) > FEW:
        said = ", ".join(f"{part:.0%} by {label}" for part, label in sooner)
        return [f"{baseline}'s final value was reached after {said} of the {comparison.unit}"]
    return [
        f"{label} reached {baseline}'s final value after {part:.0%} of the {comparison.unit}"
        for part, label in sooner
    ]


def value(loss: float, comparison: Comparison) -> float:
    """A loss as the user's metric."""
    return -loss if comparison.maximize else loss


def amount(spent: float, comparison: Comparison) -> str:
    """So much of what studies spend, in words."""
    if comparison.unit == "epochs":
        return plural(round(spent), "epoch")
    return duration(spent) + (" of GPU" if comparison.unit == "GPU-seconds" else " of training")


def standings(comparison: Comparison) -> list[dict[str, str]]:
    """A row a searcher, best mean first: mean and 95 % interval, regret, chance of being best, budget to where the baseline ended."""
    chances = comparison.best_probabilities or {}
    rows = []
    for label in sorted(comparison.labels, key=lambda one: float(comparison.finals[one].mean())):
        finals, part = comparison.finals[label], None
        if comparison.baseline in comparison.labels and label != comparison.baseline:
            part = comparison.reached(label, comparison.baseline)
        rows.append(
            {
                "searcher": label,
                "seeds": str(len(finals)),
                f"mean {comparison.metric}": number(value(float(finals.mean()), comparison)),
                _spread_name(comparison): spread(finals, comparison),
                "regret": number(float(comparison.regrets[label].mean()), 3),
                "P(best)": f"{chances[label]:.0%}" if label in chances else "–",
                f"{comparison.baseline}'s end at": "–" if part is None else f"{part:.0%}",
            }
        )
    return rows


def spread(finals: statistics.Array, comparison: Comparison) -> str:
    """The interval of the mean over seeds (their range with few seeds), in the user's metric."""
    if len(finals) < 2:
        return "–"
    ends = sorted(value(float(end), comparison) for end in statistics.interval(finals))
    return f"{number(ends[0])} … {number(ends[1])}"


def tables(comparison: Comparison) -> RenderableType:
    """`raysweep compare`: the standings, the tests, and the verdict."""
    horizon = amount(comparison.horizon, comparison)
    head = Text(clean(f"{comparison.metric} at {horizon} for each study"), style="dim")
    rows = [
        {name.removesuffix(f" {comparison.metric}"): cell for name, cell in row.items()}
        for row in standings(comparison)
    ]
    parts: list[RenderableType] = [_grid(rows, comparison.labels), head]
    tested = [
        pair
        for pair in (comparison.pairs if len(comparison.labels) <= FEW else leaders(comparison))
        if pair.test
    ]
    if tested:
        parts += [
            Text(),
            _grid([_pair_row(pair, comparison) for pair in tested], comparison.labels),
        ]
        corrected = (
            f"; Holm: corrected for {plural(len(comparison.pairs), 'pair')}"
            if len(comparison.pairs) > 1
            else ""
        )
        parts.append(Text(f"p: permutation test of the means over seeds{corrected}", style="dim"))
    return Group(*parts, Text(), *(Text(f"· {clean(line)}") for line in verdict(comparison)))


def trust(run: RunDirectory) -> list[str]:
    """What retrained finalists and audited stops say of a run; [] where it has neither."""
    from raysweep.results.analysis.retraining import confirmations, sentences
    from raysweep.results.analysis.stopping_audit import audit

    audited = audit(run)
    lines = sentences(confirmations(run), run.maximize, run.metric) + (
        [audited["sentence"]] if audited else []
    )
    return [f"· {clean(line)}" for line in lines]


def _pair_row(pair: Pair, comparison: Comparison) -> dict[str, str]:
    assert pair.test is not None
    return {
        "better": pair.better,
        "worse": pair.worse,
        "difference": number(pair.difference, 3),
        "p": number(pair.test.p, 2),
        "Holm": number(pair.p, 2),
        "test": "paired" if pair.test.kind.startswith("paired") else "unpaired",
        "detected": "yes" if pair.detected else "no",
    }


def _grid(rows: list[dict[str, str]], labels: tuple[str, ...]) -> Table:
    """A table of what is there; names of searchers and intervals are never broken."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    names = [name for name in rows[0] if any(row[name] != "–" for row in rows)]
    for index, name in enumerate(names):
        label = all(row[name] in labels or " … " in row[name] for row in rows)
        table.add_column(
            Text(clean(name)), justify="left" if index == 0 else "right", no_wrap=label
        )
    for row in rows:
        table.add_row(*(Text(clean(row[name])) for name in names))
    return table


def _spread_name(comparison: Comparison) -> str:
    fewest = min(len(values) for values in comparison.finals.values())
    return "95 % interval" if fewest >= statistics.FEWEST else "range"


def _named(pairs: list[Pair], comparison: Comparison, needed: bool = False) -> str:
    """The others of the leader's pairs with their means, and the seeds it would take to tell them apart."""
    name, words = leader(comparison), []
    for pair in pairs:
        other = pair.worse if pair.better == name else pair.better
        mean = number(value(float(comparison.finals[other].mean()), comparison))
        seeds = (
            f", about {pair.more_seeds:,} more seeds"
            if needed and pair.more_seeds and pair.more_seeds <= HOPELESS
            else ""
        )
        words.append(f"{other} ({mean}{seeds})")
    return ", ".join(words)


def _holm(comparison: Comparison) -> str:
    count = len(comparison.pairs)
    return f", corrected for {plural(count, 'pair')}" if count > 1 else ""


def _needed(pair: Pair) -> str:
    assert pair.test is not None
    if pair.test.least > LEVEL:
        least = f"with {plural(pair.seeds, 'seed')} no difference at all could be shown"
        return (
            least
            if pair.more_seeds is None
            else f"{least}; about {plural(pair.more_seeds, 'more seed')} would be needed"
        )
    if pair.more_seeds is None:
        return (
            "every seed gave both the same value"
            if pair.difference == 0
            else "the seeds differ too little to say more"
        )
    if pair.more_seeds > HOPELESS:
        return "they are as good as equal: more than a thousand seeds would be needed"
    return f"about {plural(pair.more_seeds, 'more seed')} would be needed to show one of this size"


def _ended(comparison: Comparison) -> list[str]:
    """Which searchers came to their end before the others, and stayed where they were."""
    ends: dict[str, float] = {}
    for study in comparison.studies:
        if study.exhausted and study.total < comparison.horizon:
            ends[study.label] = max(study.total, ends.get(study.label, 0.0))
    return [
        f"{label} had nothing more to try after {amount(end, comparison)}"
        for label, end in ends.items()
    ]


def _spending(comparison: Comparison) -> str:
    least, most = (amount(spent, comparison) for spent in comparison.spent)
    return f"studies spent between {least} and {most}; all are compared at the least. Give budget.total_epochs to make them spend alike"
