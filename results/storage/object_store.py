"""Object storage, `s3://bucket/path` and `gs://bucket/path`, through pyarrow's file systems.

Local folders are plain paths and do not come here. Object names are relative to the URL, with "/"
between their parts. An object appears whole or not at all, and every reader sees it at once: both
services promise that. Credentials come from the environment, where the services' own tools look
for them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, a machine's role).
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
"""How long, in seconds, Google's client retries. By default it tries for 15 minutes, without a
message, if there are no credentials or no network."""
CREDENTIALS = ("access_key", "secret_key", "session_token", "access_token")
"""Options of pyarrow's file systems that are secrets."""


class StoreError(UserError):
    """A storage URL that cannot be used."""


def is_url(place: object) -> bool:
    """True if a storage location is an object store, false if it is a path."""
    return "://" in str(place)


class ObjectStore:
    """The objects under one URL. Pickles as its URL.

    Methods raise OSError for whatever the network or the service refuses.
    """

    def __init__(self, url: str) -> None:
        scheme = url.partition("://")[0]
        if scheme not in SCHEMES:
            raise StoreError(f"{url}: expected a folder, s3://bucket/path or gs://bucket/path")
        refuse_credentials(url)
        self.url = url.rstrip("/")

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

    def __truediv__(self, name: str) -> ObjectStore:
        base, mark, query = self.url.partition("?")
        return ObjectStore(f"{base.rstrip('/')}/{name}{mark}{query}")

    def __reduce__(self) -> tuple[Any, ...]:
        return ObjectStore, (self.url,)

    def write(self, name: str, content: bytes) -> None:
        """Write an object, replacing an older one of the same name."""
        if self.url.startswith("file:"):
            # Only a local file system has folders that must exist before a file in them.
            self._system.create_dir(self._path(name).rpartition("/")[0], recursive=True)
        with self._system.open_output_stream(self._path(name)) as stream:
            stream.write(content)

    def read(self, name: str) -> bytes | None:
        """An object's content; None if there is no such object."""
        try:
            with self._system.open_input_stream(self._path(name)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def copy(self, name: str, other: str) -> None:
        """Copy an object within the store, without moving its content through this machine."""
        self._system.copy_file(self._path(name), self._path(other))

    def delete(self, name: str) -> None:
        """Delete an object, if it exists."""
        with contextlib.suppress(FileNotFoundError):
            self._system.delete_file(self._path(name))

    def sizes(self, under: str = "") -> dict[str, int]:
        """The size in bytes of each object below a name, by its name, in order."""
        from pyarrow import fs

        base = self._path(under).rstrip("/")
        selector = fs.FileSelector(base, recursive=True, allow_not_found=True)
        entries = self._system.get_file_info(selector)
        return {
            entry.path.removeprefix(f"{self._root}/"): entry.size
            for entry in sorted(entries, key=lambda entry: entry.path)
            if entry.is_file
        }

    def folders(self) -> list[str]:
        """The names directly below that have further objects below them, sorted."""
        from pyarrow import fs

        if self._system.type_name == "gcs":
            # pyarrow lists a folder of Google's only if an object stands for it; we write no such
            # objects, so the folders are derived from the names of all objects.
            parts = [name.partition("/") for name in self.sizes()]
            return sorted({first for first, _, rest in parts if rest})
        entries = self._system.get_file_info(fs.FileSelector(self._root, allow_not_found=True))
        return sorted(entry.base_name for entry in entries if entry.type == fs.FileType.Directory)

    @property
    def _system(self) -> Any:
        """pyarrow's file system."""
        return self._place[0]

    @property
    def _root(self) -> str:
        """The path of this URL within the file system."""
        return self._place[1]

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """The file system and the path in it. Nothing is contacted."""
        from pyarrow import fs

        parts = urlsplit(self.url)
        try:
            if parts.scheme == "s3":
                options = _endpoint() | dict(parse_qsl(parts.query))
                # A delayed open writes a small object with one request instead of three.
                system = fs.S3FileSystem(allow_delayed_open=True, **options)
                path = f"{parts.netloc}{parts.path}"
            else:
                system, path = fs.FileSystem.from_uri(_with_retry_limit(self.url))
        # TypeError: an option of the URL that pyarrow does not have.
        except (ValueError, TypeError, OSError) as error:
            raise StoreError(f"{self.url}: {str(error).splitlines()[0]}") from None
        return system, path.rstrip("/")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def refuse_credentials(url: str) -> None:
    """Raise StoreError for a URL that holds a secret: URLs are printed, logged and stored."""
    parts = urlsplit(url)
    found = [name for name, _ in parse_qsl(parts.query) if name in CREDENTIALS]
    if parts.password is not None:
        found.append("a password")
    if found:
        bare_url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise StoreError(
            f"{bare_url}: {' and '.join(found)} in a storage URL would be written to logs; "
            "put credentials into the environment, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )


def _with_retry_limit(url: str) -> str:
    """The URL with `RETRY_SECONDS`, if it is one of Google's and sets no limit itself."""
    if not url.startswith(("gs:", "gcs:")) or "retry_limit_seconds=" in url:
        return url
    separator = "?"
    if "?" in url:
        separator = "&"
    return f"{url}{separator}retry_limit_seconds={RETRY_SECONDS}"


def _endpoint() -> dict[str, str]:
    """Options for an S3 service other than Amazon's; {} for Amazon's."""
    url = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    scheme, _, host = url.rpartition("://")
    if not host:
        return {}
    return {"endpoint_override": host, "scheme": scheme or "https"}
