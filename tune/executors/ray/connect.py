"""Joins a running Ray cluster. Whatever is wrong ends in one line, within seconds."""

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

from raysweep.errors import UserError, first_line
from raysweep.tune.executors.ray import ray_compat
from raysweep.tune.executors.ray.auth_token import TOKEN, has_token, protect_token

ANSWER_SECONDS = 5.0
"""Seconds within which a cluster's head must accept a connection."""
EXCLUDED = [".?*", "__pycache__", "ray_results"]
"""Not part of a user's code: hidden files (keys and histories among them), and runs."""


class ClusterError(UserError):
    """A cluster that cannot be joined, in one line."""


def join(ray: Any, address: str, code: Path | None = None) -> None:
    """Connect this process to the cluster at `address` ("auto" or host:port), as a sweep's driver.

    `code`: a folder to copy to every machine; workers run there, and import from it. Raises
    ClusterError.
    """
    check_form(address)
    protect_token()
    place = _find(address)
    _check_answer(place)
    environment = {"working_dir": str(code), "excludes": EXCLUDED} if code else None
    # Ray's own list of excluded files comes with a warning.
    os.environ.setdefault("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", "")
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
            f"the cluster at {place} cannot be joined: {first_line(error) or type(error).__name__}"
        ) from error
    finally:
        logger.handlers[:] = handlers  # ray.init put its own in their place


def check_form(address: str) -> None:
    """Raise ClusterError for an address of Ray Client.

    A sweep driven through one would end when the user's machine sleeps or loses its network.
    """
    if address.startswith("ray://"):
        raise ClusterError(
            f"--address {address}: a sweep's session must run inside the cluster, and would end "
            "with this connection; type the command on the head with --address auto, or send it "
            "there with --submit http://127.0.0.1:8265"
        )


def _find(address: str) -> str:
    """host:port of the cluster at `address`."""
    try:
        return ray_compat.find_address(address)
    except ConnectionError:
        raise ClusterError(
            "--address auto: no Ray runs on this machine; on the head of a cluster, "
            "ray status tells"
        ) from None


def _check_answer(place: str) -> None:
    """Raise ClusterError if no cluster answers at `place`, or if it refuses the token.

    Ray would wait for a minute if there is no answer, and would not say that a token was refused.
    A token is shown only if one is asked for: Ray cancels every trial on a cluster without tokens.
    """
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ClusterError(f"no Ray cluster answers at {place}: {error}") from None
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode == "token" and not has_token():  # Ray would abort the process
        raise ClusterError(
            f"the cluster at {place} asks for a token, and there is none here: "
            f"copy {TOKEN} from its head"
        )
    if _accepts(place):
        return
    if mode is None and has_token():
        ray_compat.enable_token()
        if _accepts(place):
            return
    raise ClusterError(f"the cluster at {place} {_token_problem()}")


def _accepts(place: str) -> bool:
    """True if the cluster accepts this process as it is set up, with a token or without."""
    from ray.exceptions import AuthenticationError

    try:
        with _without_stderr():
            ray_compat.connect_to_control_service(place)
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


def _token_problem() -> str:
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode is None:
        return f"asks for a token, and there is none here: copy {TOKEN} from its head"
    if mode != "token":
        return f"asks for a token, and RAY_AUTH_MODE={mode} sends none"
    return f"refuses the token: copy {TOKEN} from its head"
