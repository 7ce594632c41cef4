"""The URLs of `notify`, which are secrets: how they are kept apart from what others may read.

A webhook's URL is all that is needed to write to it. So `sweep.yaml` of the run directory names its
host and a digest alone. The URL itself is in a hidden file that only the user can read, and which
is not uploaded to object storage. `{env:NAME}` in place of a URL keeps it out of every file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

NAME = ".notify.json"
"""The file in a run directory with the URLs, by what stands for them elsewhere."""
MARK = "/***"
"""What a URL that is not shown ends with, before its digest."""
DIGEST_LETTERS = 12
_VARIABLE = re.compile(r"\{env:([A-Za-z_]\w*)\}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def is_place(text: str) -> bool:
    """True for a URL, for `{env:NAME}`, and for what stands for a URL in a run directory."""
    try:
        urlsplit(text)
    except ValueError:  # as of https://[::1
        return False
    return bool(_VARIABLE.fullmatch(text) or _URL.fullmatch(text))


def is_web(url: str) -> bool:
    """True for the URL of a webhook; others are of apprise."""
    return url.startswith(("https://", "http://"))


def masked(url: str) -> str:
    """What stands for a URL wherever others may read: its scheme, its host and a digest."""
    if _VARIABLE.fullmatch(url) or MARK in url:
        return url
    digest = hashlib.sha256(url.encode()).hexdigest()[:DIGEST_LETTERS]
    scheme, host = url.partition("://")[0], ""
    if is_web(url):
        host = urlsplit(url).hostname or ""
    return f"{scheme}://{host}{MARK}{digest}"


def shown(url: str) -> str:
    """A URL in a message to the user: without what makes it a secret."""
    return masked(url).partition(MARK)[0]


def resolved(url: str) -> str:
    """The URL that `{env:NAME}` means; "" if there is no such variable, or it is not known here."""
    if variable := _VARIABLE.fullmatch(url):
        return os.environ.get(variable[1], "")
    return "" if MARK in url else url


def write(folder: Path, urls: Sequence[str]) -> None:
    """Keep the URLs of a run in a file that only the user can read. Raises OSError."""
    known = {masked(url): url for url in urls if masked(url) != url}
    if not known:
        return
    unfinished = folder / f"{NAME}-{os.getpid()}"
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(known, file)
    os.replace(unfinished, folder / NAME)


def known(folder: Path, urls: Sequence[str]) -> tuple[str, ...]:
    """The URLs of a run's file with those that its hidden file has in place of their marks."""
    try:
        kept = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    return tuple(str(kept.get(url, url)) for url in urls)
