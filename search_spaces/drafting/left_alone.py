"""Options that a sweep leaves at their defaults, known by their names."""

from __future__ import annotations

import re

LEFT_ALONE = re.compile(
    r"""
    # what makes trials differ by chance, or not at all
    (.*_)?(seed|seed_everything|random_state|manual_seed|deterministic|torch_deterministic)
    # where files are
    | (.*_)?(path|dir|directory|file|filename|folder|root|url|uri|host|port|addr|address|ckpt)
    | (.*_)?(checkpoint|checkpoints|resume|resume_from.*|pretrained.*|init_from|weights|load.*)
    | (data|dataset|datasets|task|env|scenario|corpus|train|val|test)(_.*|s)?
    | env_?id | game | output | out | config.* | conf | cfg | .*_config | hparams
    # names for people and trackers
    | (.*_)?(name|tag|tags|id|project|entity|group|user|token|note|notes|comment|version|exp)
    | (wandb|tensorboard|tb|mlflow|comet|neptune|clearml|hub|push_to|report_to|track|log|use_wandb)
      (_.*|s)? | .*_log(s|ging|_.*)? | logger | logging.* | capture_video | verbos(e|ity) | debug
    # the machine
    | (.*_)?(device|devices|cuda|gpu|gpus|mps|accel|accelerator|tpu.*|cpu|n_?gpu)
    | num_gpus | xpu | hpu
    | no_(cuda|mps|accel|gpu) | (.*_)?(rank|world_size|backend|num_nodes|nodes|nproc.*|strategy)
    | (dist|ddp|fsdp|deepspeed|multiprocessing|distributed|sync|jit|torch_?compile|compile)(_.*)?
    | (.*_)?(workers|num_proc|threads|prefetch.*|pin_mem.*|persistent_workers|num_envs|n_envs)
    | n(um)?_proc(s|esses)?
    | (.*_)?(fp16|bf16|amp|half|tf32|precision|dtype|mixed_precision|channels_last|apex.*)(_.*)?
    # how often and how long something is watched
    | (.*_)?(interval|freq|frequency|every|period|patience)(_.*)?
    | (print|save|eval|checkpoint)(_.*)?
    | (.*_)?every_n.* | .*_(every|interval)_.* | num_sanity_.*
    | (max|limit)_.*(batches|samples|time)
    | (valid|validation|test|eval|evaluate)(_.*)? | .*_eval_batch_size | per_.*_eval_.*
    | min_(epochs|steps)
    | overwrite.* | do_.* | dry_run | fast_dev_run | profil.* | .*profiler | download | quiet
    | smoke.*
    | enable_.* | overfit_.* | barebones | inference_mode | detect_anomaly | callbacks | plugins
    # what the data set decides
    | (num|n)_?(classes|labels|outputs|tokens) | in_(chans|channels|features|dim) | vocab_?size
    | (in|out)(put)?_?(size|dim|features|channels) | .*_(epochs|steps|iters|iterations)
    | (img|image|input|crop)_?(size|height|width) | mean | std | block_size
    | (max_)?seq(uence)?_len.*
    | max_(seq_)?length | (.*_)?eval_.* | use_fast.* | trust_remote.* | cache.* | past_index
    | weights_only
    """,
    re.VERBOSE,
)
"""Options that are left at their defaults: they change what is trained on, or nothing."""
SURROUNDINGS = ("callbacks", "debug", "extras", "hparams_search", "hydra", "logger", "paths")
"""Parts of nested configurations that say how a run is watched, not what is trained."""
