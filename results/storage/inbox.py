"""The inbox of a run: commands that people and programs left for the session that works on it.

Each command is a file `commands/<time in ns>-<id>.json` of the run directory, or an object of that
name if the run is in object storage. The names sort in the order in which the commands were given.
A session carries a command out, records it in the ledger under its id, and then removes the file.
Where no session works on the run, the commands wait for the next one.
"""

from __future__ import annotations

import getpass
import json
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from raysweep.errors import UserError
from raysweep.files import atomic_write
from raysweep.history import APPLIED
from raysweep.results.storage import ledger, mirror, object_ledger
from raysweep.results.storage.ledger import Event
from raysweep.text_limits import message

FOLDER = "commands"
SUFFIX = ".json"
UNREADABLE = ".unreadable"
"""Added to the name of a file that holds no command, so that it is looked at once."""
WITHDRAWN = ".withdrawn"
"""Added to the name of a command that was withdrawn while no session ran, so that it is known."""
WITHDRAW = "withdraw"
"""The command that takes back another one, which waits."""
MOST_BYTES = 2**20
"""The largest command that is read. A thousand configurations take some 200 kB."""
MAX_ID = 64
"""The longest id, in characters. Ours have 16."""
TAIL_BYTES = 2**18
"""How much of the end of a ledger is searched first for the outcome of a command."""


class CommandError(UserError):
    """A command that cannot be written or carried out, in one line for each mistake."""


@dataclass(frozen=True)
class Command:
    """What somebody asks of a sweep.

    id: makes it count once. command: its kind, such as `stop`. time: when it was given, in Unix
    seconds. author: as `user@host`.
    """

    command: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    time: float = field(default_factory=time.time)
    author: str = ""

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{int(self.time * 1e9):020d}-{self.id}{SUFFIX}"


class Inbox:
    """The commands that wait in the run directory `folder`, or in the store that it mirrors."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._store = mirror.origin(folder)

    @property
    def is_remote(self) -> bool:
        """True if the run is in object storage, where each look costs a request."""
        return self._store is not None

    def put(self, command: Command) -> None:
        """Leave a command. It appears whole or not at all. Raises OSError."""
        content = json.dumps(asdict(command)).encode()
        if self._store is not None:
            self._store.write(f"{FOLDER}/{command.name}", content)
            return
        self._folder.mkdir(exist_ok=True)
        atomic_write(self._folder / command.name, content, fsync=True)

    def names(self) -> list[str]:
        """The names of the waiting commands, in the order in which they were given."""
        if self._store is not None:
            found = [name.rpartition("/")[2] for name in self._store.sizes(FOLDER)]
        else:
            try:
                found = [path.name for path in self._folder.iterdir()]
            except FileNotFoundError:  # nobody has ever given a command
                return []
        return sorted(name for name in found if name.endswith(SUFFIX) and name[0] != ".")

    def read(self, name: str) -> Command | None:
        """The command of that name; None if it is gone. Raises ValueError if it is none."""
        if self._store is not None:
            content = self._store.read(f"{FOLDER}/{name}")
        else:
            try:
                with open(self._folder / name, "rb") as file:
                    content = file.read(MOST_BYTES + 1)
            except FileNotFoundError:
                return None
        return None if content is None else parse(content)

    def remove(self, name: str) -> None:
        """Remove a command that was carried out or refused."""
        if self._store is not None:
            self._store.delete(f"{FOLDER}/{name}")
        else:
            (self._folder / name).unlink(missing_ok=True)

    def withdraw(self, name: str) -> None:
        """Remove a command, and remember that it was withdrawn. Raises OSError."""
        self.remove(name)
        if self._store is not None:
            self._store.write(f"{FOLDER}/{name}{WITHDRAWN}", b"")
        else:
            (self._folder / f"{name}{WITHDRAWN}").touch()

    def was_withdrawn(self, beginning: str) -> bool:
        """True if a command whose id begins so was withdrawn while no session ran."""
        if self._store is not None:
            names = [name.rpartition("/")[2] for name in self._store.sizes(FOLDER)]
        else:
            names = [path.name for path in self._folder.glob(f"*{WITHDRAWN}")]
        ends = f"{SUFFIX}{WITHDRAWN}"
        return any(
            name.endswith(ends) and name.partition("-")[2].startswith(beginning) for name in names
        )

    def set_aside(self, name: str) -> None:
        """Rename what is no command, so that it is kept but not looked at again."""
        if self._store is not None:
            self._store.copy(f"{FOLDER}/{name}", f"{FOLDER}/{name}{UNREADABLE}")
            self.remove(name)
        else:
            (self._folder / name).rename(self._folder / f"{name}{UNREADABLE}")

    def waiting(self) -> list[Command]:
        """The commands that wait, in order, without what is no command."""
        found = []
        for name in self.names():
            try:
                command = self.read(name)
            except ValueError:
                continue
            if command is not None:
                found.append(command)
        return found


def withdrawal(command: str) -> Command:
    """The command that takes back the one with this id.

    Its time is 0, so that its name sorts before all others: a session that finds both of them
    waiting reads this one first.
    """
    return Command(WITHDRAW, {"withdrawn": command}, time=0.0, author=author())


def is_id(text: str) -> bool:
    """True if a text may be the id of a command."""
    return 0 < len(text) <= MAX_ID and text.isalnum()


def parse(content: bytes) -> Command:
    """The command that a file holds. Raises ValueError, with the reason, if it holds none."""
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(data, dict):
        raise ValueError("it is not a mapping")
    command, arguments, name = data.get("command"), data.get("arguments", {}), data.get("id")
    if not isinstance(command, str) or not isinstance(arguments, dict):
        raise ValueError("it lacks a command with its arguments")
    if not isinstance(name, str) or not is_id(name):
        raise ValueError("its id is not a word of letters and digits")
    given = data.get("time")
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError("its time is not a number")
    return Command(message(command), arguments, name, given, message(str(data.get("author", ""))))


def author() -> str:
    """Who gives a command, as `user@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def recorded(folder: Path, command: str, whole: bool = True) -> Event | None:
    """The event of the command with that id; None if the ledger has none (yet).

    whole: the id is `command`; without it, it begins so.
    """
    return _recorded(folder, f'"id":"{command}' + ('"' if whole else ""))


def recorded_withdrawal(folder: Path, beginning: str) -> Event | None:
    """The event by which a session withdrew the command whose id begins so; None without it."""
    event = _recorded(folder, f'"withdrawn":"{beginning}')
    return event if event is not None and event["outcome"] == APPLIED else None


def _recorded(folder: Path, text: str) -> Event | None:
    """The last event of a command in whose line there is a text; None if there is none.

    It is looked for at the end of the ledger first, because that is where a new one is.
    """
    mark = text.encode()
    store = mirror.origin(folder)
    if store is not None:
        return _find(object_ledger.read(store), mark)
    try:
        with open(folder / ledger.NAME, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            found = _find(file.read(), mark)
            if found is None and size > TAIL_BYTES:
                file.seek(0)
                found = _find(file.read(), mark)
    except FileNotFoundError:
        return None
    return found


def _find(lines: bytes, mark: bytes) -> Event | None:
    """The last whole line that is a command's event and has the mark."""
    for line in reversed(lines.split(b"\n")[:-1]):
        if mark in line and b'"event":"command"' in line:
            event: Event = json.loads(line)
            return event
    return None
