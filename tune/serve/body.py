"""The body of an answer, sent as it is or compressed, as the client asks."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cached_property

from starlette.requests import Request
from starlette.responses import Response

LEVEL = 4
"""Of gzip's nine. Level 6 takes twice as long and makes the page's files and data 4 % smaller."""
LEAST_BYTES = 1_400
"""Shorter bodies are sent as they are: they fit into a single packet of a network anyway."""


class Body:
    """Bytes to be sent, which are compressed at most once however often they are sent.

    Streams of events have no such body, and are never compressed: each event must be sent at once.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content

    @cached_property
    def packed(self) -> bytes:
        """The same, compressed with gzip."""
        return gzip.compress(self.content, LEVEL, mtime=0)

    def response(
        self, request: Request, kind: str, headers: Mapping[str, str], status: int = 200
    ) -> Response:
        """The answer to a request with this body, of the media type `kind`."""
        content, sent = self.content, {**headers, "Vary": "Accept-Encoding"}
        if len(content) >= LEAST_BYTES and takes_gzip(request.headers.get("accept-encoding", "")):
            content = self.packed
            sent["Content-Encoding"] = "gzip"
        return Response(content, status, sent, kind)


def takes_gzip(accepted: str) -> bool:
    """True if the header `Accept-Encoding` names gzip, and not with the weight zero."""
    for entry in accepted.lower().split(","):
        name, _, weight = entry.replace(" ", "").partition(";q=")
        if name in ("gzip", "x-gzip"):
            return weight.strip("0.") != "" or not weight
    return False
