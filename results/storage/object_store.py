"""Object storage, `s3://bucket/path` and `gs://bucket/path`, through pyarrow's file systems. Local folders are plain paths.

Names are relative to the URL, with "/" between their parts. An object appears whole or not at all, and is seen by everybody at once: both
services promise that. Credentials come from the environment, as the services' own tools take them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
GOOGLE_APPLICATION_CREDENTIALS, a machine's role).
"""

from __future__ import annotations

import contextlib
import os
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from raysweep.errors import UserError

SCHEMES = ("s3", "gs", "gcs", "file")
"""`file` is for tests: the same code on a local folder."""


RETRY_SECONDS = 60
CREDENTIALS = ("access_key", "secret_key", "session_token", "access_token")
"""Options of pyarrow's file systems that are secrets."""


class StoreError(UserError):
    """Storage that cannot be used as it was named, in one line."""


def is_url(place: object) -> bool:
    """Whether a storage is an object store and no path."""
    return "://" in str(place)


class ObjectStore:
    """The objects under one URL. Pickles as its URL. What the network or the service refuses is raised as OSError."""

    def __init__(self, url: str) -> None:
        scheme = url.partition("://")[0]
        if scheme not in SCHEMES:
            raise StoreError(f"{url}: expected a folder, s3://bucket/path or gs://bucket/path")
        refuse_credentials(url)
        self.url = url.rstrip("/")

    def __repr__(self) -> str:
        return f"Bucket({self.url!r})"

    def __truediv__(self, name: str) -> ObjectStore:
        base, mark, query = self.url.partition("?")
        return ObjectStore(f"{base.rstrip('/')}/{name}{mark}{query}")

    def __reduce__(self) -> tuple[Any, ...]:
        return ObjectStore, (self.url,)

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """The file system and the path in it. Nothing is contacted."""
        from pyarrow import fs

        parts = urlsplit(self.url)
        try:
            if parts.scheme == "s3":  # a small object in one request instead of three
                options = _endpoint() | dict(parse_qsl(parts.query))
                return fs.S3FileSystem(
                    allow_delayed_open=True, **options
                ), f"{parts.netloc}{parts.path}".rstrip("/")
            system, path = fs.FileSystem.from_uri(_limited(self.url))
        except (ValueError, TypeError, OSError) as error:
            raise StoreError(f"{self.url}: {str(error).splitlines()[0]}") from None
        return system, path.rstrip("/")

    def _path(self, name: str) -> str:
        return f"{self._place[1]}/{name}"

    def write(self, name: str, content: bytes) -> None:
        """Write an object, in place of what was there."""
        system = self._place[0]
        if self.url.startswith("file:"):
            system.create_dir(self._path(name).rpartition("/")[0], recursive=True)
        with system.open_output_stream(self._path(name)) as stream:
            stream.write(content)

    def read(self, name: str) -> bytes | None:
        """An object's content; None where there is none."""
        try:
            with self._place[0].open_input_stream(self._path(name)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def copy(self, name: str, other: str) -> None:
        """Copy an object within the store: it does not travel through this machine."""
        self._place[0].copy_file(self._path(name), self._path(other))

    def delete(self, name: str) -> None:
        """Delete an object; nothing happens where there is none."""
        with contextlib.suppress(FileNotFoundError):
            self._place[0].delete_file(self._path(name))

    def sizes(self, under: str = "") -> dict[str, int]:
        """The objects below a name, with their sizes in bytes, by name."""
        from pyarrow import fs

        base = self._path(under).rstrip("/")
        found = self._place[0].get_file_info(
            fs.FileSelector(base, recursive=True, allow_not_found=True)
        )
        return {
            one.path.removeprefix(f"{self._place[1]}/"): one.size
            for one in sorted(found, key=lambda one: one.path)
            if one.is_file
        }

    def folders(self) -> list[str]:
        """The names directly below, of what holds further objects."""
        from pyarrow import fs

        if (
            self._place[0].type_name == "gcs"
        ):  # pyarrow lists Google's folders only where an object stands for them, and none does
            return sorted(
                {
                    first
                    for first, inside, _ in (name.partition("/") for name in self.sizes())
                    if inside
                }
            )
        found = self._place[0].get_file_info(fs.FileSelector(self._place[1], allow_not_found=True))
        return sorted(one.base_name for one in found if one.type == fs.FileType.Directory)


def refuse_credentials(url: str) -> None:
    """StoreError for a URL that holds a secret: it is printed, logged and written into the run."""
    parts = urlsplit(url)
    found = [name for name, _ in parse_qsl(parts.query) if name in CREDENTIALS]
    if parts.password is not None:
        found.append("a password")
    if found:
        raise StoreError(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}: {' and '.join(found)} in a storage URL "
            "would be written to logs; put credentials into the environment, as AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY"
        )


def _limited(url: str) -> str:
    """Google's client would try for 15 minutes, without a word, where there are no credentials or no network."""
    if not url.startswith(("gs:", "gcs:")) or "retry_limit_seconds=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}retry_limit_seconds={RETRY_SECONDS}"


def _endpoint() -> dict[str, str]:
    """Where S3 is, unless it is Amazon's."""
    url = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    scheme, _, host = url.rpartition("://")
    return {"endpoint_override": host, "scheme": scheme or "https"} if host else {}
