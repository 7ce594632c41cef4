"""Who may ask the server: holders of the token, under a name of this machine, from its own page.

A page of another origin can send requests to a server on 127.0.0.1 too. It has neither the token
nor the cookie (SameSite), a name that it has had resolved to this machine (DNS rebinding) is not in
`Host`, and what changes something needs a header that only the server's own page can send.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "raysweep"
OWN_HEADER = "X-Raysweep"
"""Must stand in requests that change something. A form or an image of another page cannot send
it."""
MAX_BODY_BYTES = 2**20
"""The largest request body, which is also the largest command that a session reads."""
OWN_SITES = ("same-origin", "none")
"""Values of `Sec-Fetch-Site` for requests of the page itself, and for addresses that are typed."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Headers of every answer. The page itself has a policy of its own."""
ONWARDS = '<!doctype html><title>raysweep</title><meta http-equiv="refresh" content="0;url=/">'
ASK_FOR_TOKEN = "open the address that `raysweep serve` printed: it holds the token"


@dataclass(frozen=True)
class Access:
    """What a request must show.

    token: the secret. port: the server's, part of the name of the cookie, since cookies are shared
    by all servers of a machine. hosts: names under which the server may be asked, besides
    `localhost` and IP addresses, which no name server can point elsewhere.
    """

    token: str
    port: int
    hosts: frozenset[str] = field(default_factory=lambda: own_names())

    @property
    def cookie(self) -> str:
        return f"{COOKIE}-{self.port}"

    @property
    def session(self) -> str:
        """The content of the cookie: from it nobody can tell the token."""
        return hmac.new(self.token.encode(), b"session", sha256).hexdigest()

    def refusal(self, request: Request) -> tuple[int, str] | None:
        """The status and the reason with which a request is refused; None if it is not."""
        if not self._is_own_host(request.headers.get("host", "")):
            return 403, "this server is not known under that name; open it as localhost"
        if request.headers.get("sec-fetch-site", "none") not in OWN_SITES and not _is_link(request):
            return 403, "requests of other pages are refused"
        if not self.is_known(request):
            return 401, ASK_FOR_TOKEN
        if request.method not in ("GET", "HEAD"):
            return self._change_refusal(request)
        return None

    def is_known(self, request: Request) -> bool:
        """True if a request holds the token, or the cookie that is given for it."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _equal(given.strip(), self.token):
            return True
        return _equal(request.cookies.get(self.cookie, ""), self.session)

    def _is_own_host(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name == "localhost" or name in self.hosts or _is_address(name)

    def _change_refusal(self, request: Request) -> tuple[int, str] | None:
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return 403, "requests of other pages are refused"
        if OWN_HEADER not in request.headers:
            return 403, f"the header {OWN_HEADER} is missing"
        if int(request.headers.get("content-length", 0)) > MAX_BODY_BYTES:
            return 400, f"the request has more than {MAX_BODY_BYTES:,} bytes"
        return None

    def sign_in(self, request: Request) -> Response | None:
        """The answer to `/?token=...`, which sets the cookie; None for any other request."""
        if request.scope["path"] != "/" or "token" not in request.query_params:
            return None
        if not _equal(request.query_params["token"], self.token):
            return error(401, "the token is not the one of this server")
        # Without the token in its address, which browsers remember and show.
        response: Response = RedirectResponse("/", status_code=303)
        if request.headers.get("sec-fetch-site", "none") not in OWN_SITES:
            # Behind a link of another page a redirect would not send the cookie (SameSite=Strict).
            response = HTMLResponse(ONWARDS)
        response.set_cookie(self.cookie, self.session, httponly=True, samesite="strict")
        return response


class Guard:
    """The ASGI middleware that lets through what `Access` does not refuse."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._answer(Request(scope, receive))
        await (answer or self._app)(scope, receive, send_with_headers)

    def _answer(self, request: Request) -> Response | None:
        """The answer to a request that goes no further; None if it does."""
        try:
            refused = self._access.refusal(request)
        except ValueError:  # a header that is no address, or no number
            return error(400, "a header of the request cannot be read")
        signed_in = self._access.sign_in(request)
        if signed_in is not None and (refused is None or refused[0] == 401):
            return signed_in
        if refused is not None:
            return error(*refused)
        return None


def error(status: int, text: str) -> Response:
    """An answer that says what went wrong, in one line."""
    return JSONResponse({"error": text}, status)


def own_names(more: Iterable[str] = ()) -> frozenset[str]:
    """The name of this machine, in lower case, and others under which it is to be known."""
    # Not `getfqdn`, which asks name servers, and may wait for them.
    return frozenset(name.lower() for name in (socket.gethostname(), *more))


def is_loopback(host: str) -> bool:
    """True if only this machine can reach a server that listens there."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_link(request: Request) -> bool:
    """True if a person follows a link of another page to this one, which shows nothing to it."""
    return request.method == "GET" and request.scope["path"] == "/"


def _equal(given: str, known: str) -> bool:
    """Compare in a time that does not depend on how much is right."""
    return hmac.compare_digest(given.encode(errors="replace"), known.encode())
