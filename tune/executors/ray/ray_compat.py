"""Uses of Ray's private names, each with its reason.

All of them were read in Ray 2.60 and 2.61; the version is pinned. Look here first when it is
raised. Private names that a single module replaces for its own purpose stay in that module:
`start_local` (how long Ray waits at its start), `detach` (the signals that its processes get),
`ray_errors` (which errors end a trial), and `stall_detector.kill_worker`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def no_sigterm_handler() -> Iterator[None]:
    """Keep Ray from handling SIGTERM in this process: its handler would end it without a word.

    `ray.init` sets it first of all, so that restoring ours afterwards would leave a gap of seconds.
    """
    from ray._private import utils

    before = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before


def joined_a_cluster() -> bool:
    """True if this driver joined a Ray that others started. No public function tells."""
    node = _node()
    return node is not None and not node.head


def dead_processes() -> set[str]:
    """The kinds of this machine's Ray processes that have died: raylet, gcs_server and others.

    Public functions wait for an answer of the dead.
    """
    node = _node()
    return {kind for kind, _ in node.dead_processes()} if node is not None else set()


def kill_processes() -> None:
    """Kill this machine's Ray processes, so that `ray.shutdown` does not wait for the dead."""
    node = _node()
    if node is not None:
        node.kill_all_processes(check_alive=False, allow_graceful=False)


def _node() -> Any:
    """Ray's own record of its processes on this machine; None if it is not connected."""
    from ray._private import worker

    return worker._global_node


def release_idle_workers(tune_controller: Any) -> None:
    """End the workers that Ray Tune keeps for later trials. It always keeps at least one."""
    tune_controller._cleanup_cached_actors(force_all=True)


def waiting_for_a_free_worker(tune_controller: Any) -> list[Any]:
    """The Ray trials that wait and could have a worker which another has left, oldest first."""
    cache = tune_controller._actor_cache
    if not cache.num_cached_objects:
        return []
    return [
        trial
        for trial in tune_controller._trials
        if trial.status == trial.PENDING
        and trial not in tune_controller._resetting_trials
        and cache.has_cached_object(trial.placement_group_factory)
    ]


def end_unstarted(tune_controller: Any, ray_id: str) -> None:
    """End a Ray trial whose worker is not ready. Ray would wait for that before it stops it."""
    manager = tune_controller._actor_manager
    for trial in list(tune_controller._trials):
        if trial.trial_id != ray_id or trial.status != trial.PENDING:
            continue
        actor = tune_controller._trial_to_actor.get(trial)
        tune_controller.stop_trial(trial)
        if actor is not None and manager.is_actor_started(actor):
            manager.remove_actor(actor, kill=True)


def n_placed_workers(tune_controller: Any) -> int:
    """How many of a sweep's workers have their CPUs and GPUs, whether they run already or start."""
    if tune_controller is None:
        return 0
    return int(tune_controller._actor_manager.num_live_actors)


def configure_logging_now() -> None:
    """Have Ray add its log handler now, and not after ours has replaced it."""
    from ray._private.log import generate_logging_config

    generate_logging_config()


def skip_census_of_callbacks() -> None:
    """Have Ray Tune not count its built-in callbacks for its usage statistics.

    To recognize them it imports MLflow and W&B where they are installed, which takes 3 s of CPU
    time at the start of a sweep that uses neither.
    """
    from ray.air._internal import usage

    usage.tag_callbacks = lambda callbacks: False


def redirect_messages(write: Callable[..., None]) -> None:
    """Have `write` get the raylets' messages, which Ray prints whatever `log_to_driver` says."""
    from ray._private import worker

    worker.print_to_stdstream = write


def find_address(address: str) -> str:
    """host:port of the cluster at `address`; ConnectionError if "auto" finds none.

    `ray.init` would find it too, but only after what is checked in between.
    """
    from ray._private.services import canonicalize_bootstrap_address_or_die

    return str(canonicalize_bootstrap_address_or_die(address))


def enable_token() -> None:
    """Use the token of this machine. The public way is an environment variable, read at import."""
    from ray._private.authentication.authentication_token_setup import _enable_token_auth

    _enable_token_auth()


def connect_to_control_service(address: str) -> None:
    """Connect once to the control service (GCS) of a cluster.

    Raises AuthenticationError if the token is refused: `ray.init` would retry for a minute.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    GcsClient(address=address)


def put_answer(ray_id: str, answer: str) -> None:
    """Leave an answer for the worker of a Ray trial in Ray's table of keys and values.

    Ray Tune tells a function only whether it continues. The function waits in `tune.report` until
    the driver has done so, hence the answer is there when it looks.
    """
    from ray.experimental import internal_kv

    internal_kv._internal_kv_put(_key(ray_id), answer.encode(), overwrite=True)


def take_answer(ray_id: str) -> str:
    """The answer that `put_answer` left, which is taken away."""
    from ray.experimental import internal_kv

    answer: bytes | None = internal_kv._internal_kv_get(_key(ray_id))
    if answer is None:
        raise RuntimeError(f"the driver left no answer for Ray's trial {ray_id}")
    internal_kv._internal_kv_del(_key(ray_id))
    return answer.decode()


def _key(ray_id: str) -> bytes:
    return f"raysweep-answer-{ray_id}".encode()


def draining_nodes() -> set[str]:
    """The identifiers of the nodes that Ray empties. No public function tells."""
    from ray._private.state import state

    return set(state.get_draining_nodes())


def drain_node(ray: Any, node_id: str, seconds: int) -> str:
    """Ask Ray to place nothing more on a node, which goes in so many seconds.

    Returns why Ray refuses; "" if it does not. `ray drain-node`, which does the same, is hidden.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.core.generated import autoscaler_pb2

    client = GcsClient(address=ray.get_runtime_context().gcs_address)
    reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    deadline = int(time.time() * 1000) + seconds * 1000
    accepted, why = client.drain_node(node_id, reason, "the machine goes", deadline)
    return "" if accepted else str(why)


def is_idle(node: dict[str, Any]) -> bool:
    """True if nothing holds a node's CPUs and GPUs. `ray.nodes` tells what it has, and no more."""
    from ray._private.state import available_resources_per_node

    free = available_resources_per_node().get(node["NodeID"])
    names = [name for name in ("CPU", "GPU") if name in node["Resources"]]
    return free is not None and all(free.get(name) == node["Resources"][name] for name in names)


def node_of(trial: Any) -> str:
    """The identifier of the node on which a Ray trial's worker is; "" if it has none yet."""
    from ray._private.state import actors

    actor = trial.temporary_state.ray_actor
    if actor is None:
        return ""
    return str(actors(actor._ray_actor_id.hex()).get("Address", {}).get("NodeID", ""))
