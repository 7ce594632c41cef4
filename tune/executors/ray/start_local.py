"""Start a Ray of our own on this machine.

It is given time in proportion to the load of the machine, is tried twice, listens on 127.0.0.1
only, asks for a token, and keeps its files in a directory that only this user can enter.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raysweep.errors import SessionInterrupted, UserError
from raysweep.tune.executors.ray.auth_token import ensure_token
from raysweep.tune.executors.ray.detach import own_session

TRIES = 2
LEAST_SECONDS = 60.0
"""Time that Ray gets to start on an idle machine, where it takes about five seconds."""
MOST_SECONDS = 600.0
LOOK_SECONDS = 0.2
AGENT_PORTS = (
    "metrics_agent_port",
    "metrics_export_port",
    "dashboard_agent_listen_port",
    "runtime_env_agent_port",
)
LOADAVG = Path("/proc/loadavg")
SLOW = (AssertionError, ConnectionError, RuntimeError, TimeoutError)
"""What Ray raises at a start that takes too long. Anything else would be the same next time.

RaySystemError and RpcError are RuntimeErrors; an assertion fails if a process has died.
"""


class StartError(UserError):
    """Ray did not start, in one line."""

    exit_code = 4


class CannotStartError(StartError):
    """Ray cannot start here: a full disk, a path that is too long for a socket."""

    exit_code = 2


def start(
    ray: Any,
    cpus: int | None,
    gpus: int | None,
    say: Callable[[str], None],
    stopping: Callable[[], str],
) -> Path:
    """Start Ray, connect this process to it, and return the private directory of its files.

    `stopping`: why the session is to end; "" if it is not. Raises Interruption in the first case,
    StartError if Ray did not start in time, CannotStartError if time would not mend it.
    """
    _ask_for_token()
    seconds = 0.0
    for attempt in range(1, TRIES + 1):
        seconds = patience()
        private = _private_directory()
        try:
            _attempt(ray, cpus, gpus, private, seconds, stopping)
        except SLOW as error:
            why = first_line(error)
            if attempt == TRIES:
                raise StartError(
                    f"Ray did not start in {TRIES} attempts of up to {seconds:.0f} s each "
                    f"({_load()}): {why}. Its logs are in {private}. "
                    "Type the same command again when this machine is less busy"
                ) from error
            say(f"Ray did not start ({why}); starting it once more ...")
            shutil.rmtree(private, ignore_errors=True)
        except OSError as error:
            shutil.rmtree(private, ignore_errors=True)
            raise CannotStartError(f"Ray cannot start: {first_line(error)}") from error
        except BaseException:
            shutil.rmtree(private, ignore_errors=True)
            raise
        else:
            break
    return private


def _attempt(
    ray: Any,
    cpus: int | None,
    gpus: int | None,
    private: Path,
    seconds: float,
    stopping: Callable[[], str],
) -> None:
    """Start Ray once; if that fails, no process of it is left."""
    with (
        _limits_raised(seconds),
        _loopback(),
        own_session(),
        _watched(seconds, stopping) as nodes,
    ):
        try:
            _init(ray, cpus, gpus, private)
        except BaseException as error:
            _end(ray, nodes)
            if type(error) is Exception:  # this is how Ray says that the node was too slow
                raise TimeoutError(first_line(error)) from error
            raise


def remove(private: Path) -> None:
    """Remove the files of a Ray that was shut down. Its last processes may still be writing."""
    for _ in range(3):
        shutil.rmtree(private, ignore_errors=True)
        if not private.exists():
            return
        time.sleep(LOOK_SECONDS)


def patience() -> float:
    """The seconds that Ray gets to start: in proportion to the processes that want each CPU."""
    return min(MOST_SECONDS, LEAST_SECONDS * max(1.0, _wanting() / (os.cpu_count() or 1)))


def _wanting() -> float:
    """The number of processes that run or wait for a CPU: now, or on average in the last minute.

    The average knows nothing yet of a load that began some seconds ago.
    """
    average = os.getloadavg()[0]
    try:
        now = int(LOADAVG.read_text().split()[3].partition("/")[0])
    except (OSError, IndexError, ValueError):  # only Linux has it
        return average
    return max(average, float(now))


def _load() -> str:
    return f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} CPUs"


def _private_directory() -> Path:
    """A new directory of mode 0700 beside the one that Ray would use.

    Ray gives its directories mode 0777, again with each worker, so one around them must protect
    them. The names are short: Ray's sockets lie below, and their paths have 107 characters at most.
    """
    from ray._common.utils import get_default_ray_temp_dir

    parent = Path(get_default_ray_temp_dir()).parent
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="rs-", dir=parent))


def _init(ray: Any, cpus: int | None, gpus: int | None, private: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(
            address="local",
            num_cpus=cpus,
            num_gpus=gpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            configure_logging=False,
            _temp_dir=str(private / "r"),
        )


def limits(seconds: float) -> Mapping[str, str]:
    """Ray's own time limits for what happens at a start, as environment variables.

    Its C++ parts read them from there, in this process and in those it starts.
    """
    whole = str(int(seconds))
    return {
        "RAY_gcs_server_port_wait_time_s": whole,  # driver: until the GCS listens; 30 s
        "RAY_py_gcs_connect_timeout_s": whole,  # driver, agents: first answer of the GCS; 30 s
        "RAY_gcs_rpc_server_connect_timeout_s": whole,  # raylet, workers: the same; 5 s
        "RAY_agent_register_timeout_ms": f"{whole}000",  # raylet: first answer of agents; 30 s
        "RAY_worker_register_timeout_seconds": whole,  # raylet: each worker; 60 s
    }


@contextmanager
def _limits_raised(seconds: float) -> Iterator[None]:
    """Raise Ray's limits while it starts, except for those that the user has set."""
    from ray._raylet import Config  # type: ignore[attr-defined]

    ours = {name: value for name, value in limits(seconds).items() if name not in os.environ}
    os.environ.update(ours)
    Config.initialize("")  # this process has read them when ray was imported
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@contextmanager
def _watched(seconds: float, stopping: Callable[[], str]) -> Iterator[list[Any]]:
    """Wait `seconds` for the raylet instead of Ray's fixed 30. Yields the nodes being started."""
    from ray._private import node as node_module
    from ray._private import services
    from ray._raylet import persist_port  # type: ignore[attr-defined]

    nodes: list[Any] = []
    original_class, original_get = node_module.Node, services.get_node
    deadline = time.monotonic() + seconds

    class Node(original_class):  # type: ignore[misc, valid-type]
        """Known before its processes run, so that they can be ended if it never comes up.

        It waits for as few processes as can be, because each Python process takes seconds of
        computing before it answers: the autoscaler, the dashboard and the log monitor serve nobody
        here and are left out, and the raylet knows the ports of its two agents beforehand. It
        would learn them from files that the agents write, and abort if that took 15 s.
        """

        def __init__(self, ray_params: Any, **options: Any) -> None:
            nodes.append(self)
            self.agent_ports = dict(zip(AGENT_PORTS, _free_ports(), strict=True))
            vars(ray_params).update(self.agent_ports)
            vars(ray_params).update(no_monitor=True, include_log_monitor=False)
            super().__init__(ray_params, **options)

        def start_raylet(self, *arguments: Any, **options: Any) -> None:
            for name, port in self.agent_ports.items():
                persist_port(self.get_session_dir_path(), self.node_id, name, port)
            super().start_raylet(*arguments, **options)

        def start_api_server(self, **options: Any) -> None:
            """Nothing: without its dashboard it would only send usage statistics."""

    def get_node(gcs_address: str, node_id: str) -> Any:
        while not _registered(gcs_address, node_id):
            _go_on_waiting(nodes, deadline, stopping)
            time.sleep(LOOK_SECONDS)
        return original_get(gcs_address, node_id)

    node_module.Node, services.get_node = Node, get_node
    try:
        yield nodes
    finally:
        node_module.Node, services.get_node = original_class, original_get


def _free_ports() -> list[int]:
    """As many ports of this machine as Ray's agents need, all free at present."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in AGENT_PORTS]
        return [int(bound.getsockname()[1]) for bound in sockets]


def _registered(gcs_address: str, node_id: str) -> bool:
    """True if the GCS knows the raylet. To ask for it by name would block for a minute."""
    from ray._private.services import _get_gcs_client_options
    from ray._private.state import GlobalState

    state = GlobalState()
    state._initialize_global_state(_get_gcs_client_options(gcs_address))
    return any(node["NodeID"] == node_id for node in state.node_table())


def _go_on_waiting(nodes: list[Any], deadline: float, stopping: Callable[[], str]) -> None:
    """Raise where waiting has become pointless."""
    if why := stopping():
        raise SessionInterrupted(why)
    if dead := [kind for node in nodes for kind, _ in node.dead_processes()]:
        raise ConnectionError(f"its {' and '.join(sorted(set(dead)))} died")
    if time.monotonic() > deadline:
        raise TimeoutError("its raylet did not register in time")


def _end(ray: Any, nodes: list[Any]) -> None:
    """End all processes of a Ray that did not come up."""
    import psutil  # comes with Ray

    started = []
    for process in (info.process for node in nodes for info in _processes(node)):
        with contextlib.suppress(psutil.NoSuchProcess):
            started += psutil.Process(process.pid).children(recursive=True)
    for node in nodes:
        node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
    for child in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    ray.shutdown()


def _processes(node: Any) -> Iterator[Any]:
    for infos in getattr(node, "all_processes", {}).values():
        yield from infos


@contextmanager
def _loopback() -> Iterator[None]:
    """Have a local Ray listen on 127.0.0.1, as it does on macOS, and not on every address."""
    from ray._private import ray_constants

    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _ask_for_token() -> None:
    """Have a local Ray ask for a token, as it does by default, but not in silence."""
    from ray._private.authentication import authentication_token_setup

    if "RAY_AUTH_MODE" not in os.environ:
        authentication_token_setup._enable_token_auth()
    if os.environ["RAY_AUTH_MODE"].lower() == "token":
        ensure_token()


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
