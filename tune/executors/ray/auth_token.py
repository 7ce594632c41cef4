"""The token that a Ray asks for: its file can be read by this user only."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

TOKEN = Path("~/.ray/auth_token")


def has_token() -> bool:
    """Whether Ray finds a token on this machine."""
    return (
        bool(os.environ.get("RAY_AUTH_TOKEN"))
        or Path(os.environ.get("RAY_AUTH_TOKEN_PATH", TOKEN)).expanduser().is_file()
    )


def ensure_token() -> None:
    """Write a token unless there is one. Ray's own would be readable by every local user."""
    from ray._private.authentication.authentication_token_generator import (
        generate_new_authentication_token,
    )
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

    if not has_token():
        _write(TOKEN.expanduser(), generate_new_authentication_token())
        AuthenticationTokenLoader.instance().reset_cache()
    protect_token()


def protect_token() -> None:
    """Take away what others may do with the token file that Ray has written some day."""
    path = TOKEN.expanduser()
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _write(path: Path, token: str) -> None:
    """Write a file of mode 0600, whole or not at all; a token that another process wrote stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(token)
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)
