"""Joining a Ray cluster that runs already: what can go wrong ends in one line, within seconds, and before anything is started."""

from __future__ import annotations

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raysweep.errors import UserError
from raysweep.tune.executors.ray.auth_token import TOKEN, has_token, protect_token

KNOCK_SECONDS = 5.0
LEFT_OUT = [".?*", "__pycache__", "ray_results"]
"""Not part of a user's code: hidden files (keys and histories among them), and runs."""


class ClusterError(UserError):
    """A cluster that cannot be joined, in one line."""


def join(ray: Any, address: str, code: Path | None = None) -> None:
    """Connect this process to the cluster at `address`, "auto" or host:port, as the driver of a sweep.

    `code`: a folder to copy to every machine, from where workers import and where they run. Raises ClusterError.
    """
    check_form(address)
    protect_token()
    place = _find(address)
    _knock(place)
    environment = {"working_dir": str(code), "excludes": LEFT_OUT} if code else None
    os.environ.setdefault(
        "RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", ""
    )  # LEFT_OUT says it; Ray's own list comes with a warning
    logger = logging.getLogger("ray")
    handlers = list(logger.handlers)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(
                place,
                runtime_env=environment,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                configure_logging=False,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"the cluster at {place} cannot be joined: {_first_line(error)}"
        ) from error
    finally:
        logger.handlers[:] = handlers  # ray.init put its own in their place


def check_form(address: str) -> None:
    """ClusterError for Ray Client's addresses: trials would outlive neither the laptop's sleep nor its network."""
    if address.startswith("ray://"):
        raise ClusterError(
            f"--address {address}: a sweep's driver must run inside the cluster, and would end with this connection; "
            "type the command on the head with --address auto, or send it there with --submit http://127.0.0.1:8265"
        )


def _find(address: str) -> str:
    """host:port of the cluster that `address` means."""
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        return str(canonicalize_bootstrap_address_or_die(address))
    except ConnectionError:
        raise ClusterError(
            "--address auto: no Ray runs on this machine; on the head of a cluster, ray status tells"
        ) from None


def _knock(place: str) -> None:
    """Ray waits for a minute where nobody answers, and does not say that a token was refused: find out first.

    A token is shown only where one is asked for: Ray would cancel every trial on a cluster that knows no token.
    """
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ClusterError(f"no Ray cluster answers at {place}: {error}") from None
    if (
        os.environ.get("RAY_AUTH_MODE") == "token" and not has_token()
    ):  # Ray would abort the process
        raise ClusterError(
            f"the cluster at {place} asks for a token, and there is none here: copy {TOKEN} from its head"
        )
    if _let_in(place) or (
        "RAY_AUTH_MODE" not in os.environ and has_token() and _let_in(place, with_token=True)
    ):
        return
    raise ClusterError(f"the cluster at {place} {_token_trouble()}")


def _let_in(place: str, with_token: bool = False) -> bool:
    """Whether the cluster answers to what RAY_AUTH_MODE says, or, from now on, to a token."""
    from ray._private.authentication.authentication_token_setup import _enable_token_auth
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.exceptions import AuthenticationError

    if with_token:
        _enable_token_auth()
    try:
        with _without_stderr():
            GcsClient(address=place)
    except AuthenticationError:
        return False
    return True


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Ray's C++ parts print what they are about to raise."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _token_trouble() -> str:
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode is None:
        return f"asks for a token, and there is none here: copy {TOKEN} from its head"
    if mode != "token":
        return f"asks for a token, and RAY_AUTH_MODE={mode} sends none"
    return f"refuses the token: copy {TOKEN} from its head"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
