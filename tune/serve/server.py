"""The server of `raysweep serve`: it listens, says where, and ends at once when it is told to."""

from __future__ import annotations

import asyncio
import gc
import html
import logging
import os
import re
import secrets
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from raysweep.errors import UserError
from raysweep.tune.serve.access import Access, is_loopback, own_names
from raysweep.tune.serve.app import Application
from raysweep.tune.serve.folders import Folder

FIRST_PORT = 8765
PORTS = 100
"""How many ports from `FIRST_PORT` on are tried."""
TOKEN_BYTES = 24
"""Random bytes of a token: nobody guesses 192 bits."""
TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,200}")
"""Tokens that people may choose: they stand in an address and in a header as they are."""
KEPT_SECONDS = 60
"""How long a connection may stay without a request, in seconds."""
COLLECTIONS = (50_000, 20, 50)
"""How seldom Python looks for garbage in circles. Histories hold millions of objects and no
circles: with its own numbers (700, 10, 10) a third of the time for reading ledgers goes there."""
CLOSING_SECONDS = 1
"""How long answers that are being sent may take when the server is told to end, in seconds."""


class ServerError(UserError):
    """The server cannot listen where it is to, or its token cannot be used."""


@dataclass(frozen=True)
class Settings:
    """Where the server listens, and for whom.

    port: None for a free one. token: "" for a random one. browser: whether to open the page.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    token: str = ""
    browser: bool = False


def serve(folder: Folder, settings: Settings, say: Callable[[str], None]) -> None:
    """Serve a folder until Ctrl-C. `say` is given the lines for the user. Raises ServerError."""
    token = settings.token or secrets.token_urlsafe(TOKEN_BYTES)
    if not TOKEN.fullmatch(token):
        raise ServerError("the token: expected 8 to 200 letters, digits, '.', '_', '~' and '-'")
    listening = listen(settings.host, settings.port)
    port = listening.getsockname()[1]
    application = Application(folder)
    app = application.asgi(Access(token, port, own_names([settings.host])))
    url = f"http://{shown_host(settings.host)}:{port}/?token={token}"
    say(f"raysweep serves {folder.place}; Ctrl-C ends it")
    if not is_loopback(settings.host):
        say(
            "warning: other machines can reach this server, and what they send and get is not "
            "encrypted; safer: ssh -L, see `raysweep serve --help`"
        )
    say(f"  {url}")
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        http="h11",
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=CLOSING_SECONDS,
        timeout_keep_alive=KEPT_SECONDS,
    )
    gc.set_threshold(*COLLECTIONS)
    with opened(url, settings.browser):
        try:
            asyncio.run(Server(config, application).serve(sockets=[listening]))
        except KeyboardInterrupt:  # uvicorn has ended by then, and raises the signal again
            return


class Server(uvicorn.Server):
    """A server that ends the streams of events when it is told to end."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # It would report what it has to cut off, which is as the user wants it.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._application.feed.close()
        super().handle_exit(sig, frame)


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens; without a port, at the first free one. Raises ServerError."""
    ports = [*range(FIRST_PORT, FIRST_PORT + PORTS), 0]
    if port is not None:
        ports = [port]
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ServerError(f"--host {host}: {error.strerror}") from None
    problem: Exception | None = None
    for number in ports:
        # With the protocol named, asyncio sends each part of an answer without waiting for more.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address[0], number))
            listening.listen()
        except (OSError, OverflowError) as error:
            listening.close()
            problem = error
            continue
        return listening
    reason = getattr(problem, "strerror", None) or problem
    raise ServerError(f"cannot listen at {host}:{port}: {reason}")


def shown_host(host: str) -> str:
    """The host as it stands in an address that this machine's browser opens."""
    if host in ("0.0.0.0", "::", ""):
        return socket.gethostname()
    if ":" in host:  # of IPv6
        return f"[{host}]"
    return host


def has_display() -> bool:
    """True if a browser that is opened here is seen by whoever asked for it."""
    if "SSH_CONNECTION" in os.environ or not sys.stdout.isatty():
        return False
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def opened(url: str, wanted: bool) -> Iterator[None]:
    """Have the browser open a URL, unless `wanted` is false, while the body runs.

    The URL holds the token, which must not stand among the arguments of a process, where everybody
    sees it. So the browser opens a file that only this user may read, and that leads to the URL.
    """
    if not wanted:
        yield
        return
    number, name = tempfile.mkstemp(prefix="raysweep-", suffix=".html")  # with mode 0600
    path = Path(name)
    try:
        with open(number, "w", encoding="utf-8") as file:
            target = html.escape(url)
            file.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={target}">')
        # A browser may take long, or may not be there.
        threading.Thread(target=webbrowser.open, args=[path.as_uri()], daemon=True).start()
        yield
    finally:
        path.unlink(missing_ok=True)
