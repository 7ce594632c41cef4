"""What is known of hyperparameters by their names: which are worth tuning, and in which range.

The ranges are those of common practice: a decade to each side of a rate, powers of two for sizes,
and for everything that lies in [0, 1] the part of it that is in use.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raysweep.search_spaces.drafting.interface import Option

LARGEST = 1e15
"""Of a default that a range is made from. Larger ones stand for "without a limit"."""
Entry = Any
"""An entry of the space as plain data, such as `{"float": [0.0, 0.5]}`."""


@dataclass(frozen=True)
class Family:
    """Hyperparameters that are called alike.

    names: a pattern for the whole last part of a name, in lower case with `_`. entry: makes the
    range. why: the comment beside it. active: False if it is written as a comment, because tuning
    it is seldom worth it; so it is, too, if the default is above `largest`.
    """

    names: re.Pattern[str]
    entry: Callable[[Option], Entry]
    why: str
    active: bool = True
    largest: float = math.inf


def _names(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.VERBOSE)


def number(option: Option) -> float | None:
    """The default as a number; None if it is none."""
    value = option.default
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) <= LARGEST else None  # neither infinite, nor no number at all


def decades(option: Option, fallback: tuple[float, float] = (1e-5, 1e-1)) -> Entry:
    """A log scale from a decade below the default to a decade above, at powers of ten.

    A default of zero stays among the values, beside the range of `fallback`.
    """
    value = number(option)
    if value is None or value < 0:
        return {"float": list(fallback), "log": True}
    if value == 0:
        return {"float": list(fallback), "log": True, "or": [0]}
    low, high = math.floor(math.log10(value)) - 1, math.ceil(math.log10(value)) + 1
    return {"float": [float(f"1e{low}"), float(f"1e{high}")], "log": True}


def rate(option: Option) -> Entry:
    """A learning rate: decades, and at most ten."""
    entry = decades(option)
    entry["float"][1] = min(entry["float"][1], 10.0)
    return entry


def tiny(option: Option) -> Entry:
    """A constant that keeps a division from failing."""
    return decades(option, (1e-9, 1e-6))


def decay(option: Option) -> Entry:
    """A weight decay: decades, or none at all."""
    return decades(option, (1e-6, 1e-2)) | {"or": [0]}


def near_one(low: float, high: float) -> Callable[[Option], Entry]:
    """A number just below 1, on a log scale of the distance to 1. A default of 0 stays."""

    def entry(option: Option) -> Entry:
        value = number(option)
        ends = [low, high]
        if value is not None and 0 < value < 1:
            ends = [min(low, value), max(high, value)]
        return {"float": ends, "log": "reverse"} | ({"or": [0]} if value == 0 else {})

    return entry


def share(high: float) -> Callable[[Option], Entry]:
    """A number from 0 to `high`, or to the default if that is larger."""

    def entry(option: Option) -> Entry:
        value = number(option) or 0.0
        return {"float": [0.0, high if value <= high else min(1.0, round((1 + value) / 2, 2))]}

    return entry


def factor(option: Option) -> Entry:
    """A discount near 1; what is further from 1 is the factor of a schedule."""
    value = number(option)
    if value is not None and value < 0.9:
        return {"float": [0.1, 1.0]}
    return near_one(0.9, 0.999)(option)


def between(low: float, high: float, log: bool = False) -> Callable[[Option], Entry]:
    """A fixed range, which is widened to hold the default."""

    def entry(option: Option) -> Entry:
        value = number(option)
        ends = [low, high]
        if value is not None and not (log and value <= 0):
            ends = [min(low, value), max(high, value)]
        return {"float": ends} | ({"log": True} if log else {})

    return entry


def doublings(below: int, above: int) -> Callable[[Option], Entry]:
    """The default halved and doubled so many times; powers of two if there is no default."""

    def entry(option: Option) -> Entry:
        value = number(option)
        if value == 0:
            return None  # the program computes it
        middle = int(value) if value is not None and value >= 1 else 64
        values = {middle * 2**step for step in range(above + 1)}
        values |= {max(1, middle // 2**step) for step in range(below + 1)}
        return {"ordinal": sorted(values)}

    return entry


def around(option: Option) -> Entry:
    """Whole numbers from half of the default to twice of it."""
    value = number(option)
    if value is None or value < 1:
        return None if value is not None else {"int": [1, 4]}
    return {"int": [max(1, int(value) // 2), max(2 * int(value), 3)]}


def up_to(times: int) -> Callable[[Option], Entry]:
    """Whole numbers from 0 to several times the default."""

    def entry(option: Option) -> Entry:
        value = int(number(option) or 0)
        return {"int": [0, value * times if value > 0 else 1000]}

    return entry


def listed(option: Option) -> Entry | None:
    """The choices that the program itself gives; None without them."""
    values = [value for value in option.choices if value is not None]
    return {"choice": values} if len(values) > 1 else None


def truth(option: Option) -> Entry:
    return {"choice": [True, False]}


FAMILIES = (
    Family(
        _names(
            r"(?!min_|warmup_|final_|end_)(.*_)?(lr|lr0|blr|eta0|learning_?rate|step_size|lr_base|lr_max)"
        ),
        rate,
        "a learning rate: log scale, a decade to each side",
    ),
    Family(
        _names(r"lr_(actor|critic|policy|value|q|pi|v|g|d|gen|disc|head|backbone|encoder|decoder)"),
        rate,
        "a learning rate: log scale, a decade to each side",
    ),
    Family(
        _names(r"(.*_)?(batch_?size|bs|batch|mini_?batch_?size|samples_per_gpu)"),
        doublings(2, 2),
        "a batch size: halved and doubled; large ones need memory",
    ),
    Family(
        _names(r"(.*_)?(weight_?decay|wd|l2|l2_reg|l2_?regularization|alpha_l2)"),
        decay,
        "a weight decay: log scale, or none",
    ),
    Family(
        _names(r"(.*_)?(optimizer|optim|opt|solver)(_name|_type|_class|_algo)?"),
        listed,
        "the optimizer",
    ),
    Family(
        _names(r"(.*_)?(drop_?path|stochastic_depth)(_rate|_prob)?"),
        share(0.4),
        "a probability of dropping a block",
    ),
    Family(
        _names(r"(.*_)?(p_?)?drop(_?out)?(_?(p|rate|prob|probability|ratio))?(_?[0-9])?"),
        share(0.5),
        "a dropout probability",
    ),
    Family(
        _names(r"(.*_)?(momentum|mom)"),
        near_one(0.5, 0.99),
        "a momentum: log scale of the distance to 1",
    ),
    Family(
        _names(r"(.*_)?(n_?|num_?)?(layers?|blocks?|depth|hidden_layers)(_num|_count)?"),
        around,
        "a depth: half to twice the default",
        largest=8,
    ),
    Family(
        _names(
            r"""(.*_)?(hidden(_?(size|dim|units?|features|channels?|width))?|width|units|n_hidden
            |channels|n_channels|filters|num_filters|mlp_dim|ffn_dim|feature_dim|latent_dim|nhid
            |d_model|n_embd|embed(ding)?_?(dim|size)|emsize|dim|fc_dim|rnn_size|nf|ngf|ndf)"""
        ),
        doublings(1, 1),
        "a width: halved and doubled",
        largest=512,
    ),
    Family(_names(r"(.*_)?(activation|act|nonlinearity|act_fn)"), listed, "the activation"),
    Family(
        _names(r"(.*_)?(ent|entropy)_?(coef|coeff|weight|beta)"),
        lambda option: decades(option, (1e-4, 1e-1)),
        "the weight of the entropy: log scale",
    ),
    Family(_names(r"(gamma|discount|discount_factor)"), factor, "a discount or a factor"),
    Family(_names(r"(gae_?lambda|lam|gae_lam)"), near_one(0.8, 0.99), "a weight near 1"),
    Family(
        _names(r"(clip_?(coef|range|param|eps|epsilon)|eps_clip)"),
        between(0.1, 0.4),
        "the clip range of PPO",
    ),
    Family(_names(r"(.*_)?label_?smoothing(_factor)?|smoothing"), share(0.2), "label smoothing"),
    Family(
        _names(r"(.*_)?(mixup|cutmix)(_alpha)?"),
        share(1.0),
        "the strength of an augmentation",
        active=False,
    ),
    Family(
        _names(r"(.*_)?warmup_?(ratio|fraction|prop|proportion)"),
        share(0.2),
        "a share of the training",
        active=False,
    ),
    Family(
        _names(r"(.*_)?(warmup|warm_?up)_?(steps|iters|epochs|iterations|batches)?"),
        up_to(3),
        "a warm-up: up to three times the default",
        active=False,
    ),
    Family(_names(r"(.*_)?(beta_?1|b1)"), near_one(0.8, 0.99), "near 1", active=False),
    Family(_names(r"(.*_)?(beta_?2|b2)"), near_one(0.9, 0.9999), "near 1", active=False),
    Family(
        _names(r"(.*_)?(max_?)?(grad(ient)?_?(clip|norm)(_?(val|value|norm))?|clip_?grad(_norm)?)"),
        lambda option: decades(option, (1e-1, 1e1)),
        "the largest norm of a gradient: log scale",
        active=False,
    ),
    Family(
        _names(r"(vf|value)_?(coef|coeff|loss_coef|weight)"),
        between(0.1, 1.0),
        "a weight of a loss",
        active=False,
    ),
    Family(
        _names(r"(.*_)?temp(erature)?"), between(0.05, 1.0, log=True), "a temperature", active=False
    ),
    Family(
        _names(r"(.*_)?(min_lr|warmup_lr|lr_min|eta_min|final_lr|end_lr)"),
        decades,
        "the end of a schedule: log scale",
        active=False,
    ),
    Family(_names(r"(.*_)?(adam_)?eps(ilon)?"), tiny, "a small constant: log scale", active=False),
    Family(
        _names(r"(.*_)?(n_?|num_?)?(attention_?)?heads?"),
        doublings(1, 1),
        "must divide the width",
        active=False,
    ),
    Family(
        _names(r"(.*_)?(gradient_|grad_)?accum(ulation|ulate)?(_?(steps|iter|grad_batches))?"),
        doublings(0, 2),
        "multiplies the batch size",
        active=False,
    ),
)
"""In the order of how much tuning them is worth: the first ones are tuned if there are many."""
