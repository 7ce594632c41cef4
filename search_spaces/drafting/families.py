"""What is known of hyperparameters by their names: which are worth tuning, and in which range.

The ranges are those of common practice: a decade to each side of a rate, powers of two for sizes,
and for everything that lies in [0, 1] the part of it that is in use.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from raysweep.search_spaces.drafting.default_ranges import (
    Entry,
    around,
    between,
    decades,
    decay,
    doublings,
    factor,
    listed,
    near_one,
    rate,
    share,
    small_rate,
    tiny,
    up_to,
)
from raysweep.search_spaces.drafting.interface import Option


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


FAMILIES = (
    Family(
        _names(
            r"(?!min_|warmup_|final_|end_)(.*_)?(lr|lr0|blr|eta0|learning_?rate|lr_base|lr_max)"
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
        _names(r"(.*_)?(drop_?path|drop_?block|stochastic_depth)(_rate|_prob)?"),
        share(0.4),
        "a probability of dropping a block",
    ),
    Family(
        _names(r"(.*_)?(p_?)?drop(_?out)?(_?(p|rate|prob|probability|ratio))?(_?[0-9])?"),
        share(0.5),
        "a dropout probability",
    ),
    Family(
        _names(r"(.*_)?(bn|batch_?norm|norm)_(momentum|mom)"),
        small_rate,
        "the weight of the new value in a running average: log scale",
        active=False,
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
