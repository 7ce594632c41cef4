"""A server that answers the page as `raysweep serve` does, from made-up runs.

It knows nothing of sweeps: tests say what it holds, and read the commands that it was given.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from raysweep.results.views.html.report import application, asset

Data = dict[str, Any]
REFUSED = "refused: there is no such trial"


@dataclass
class FakeRun:
    """A run: its `page_data`, its row in the list, and what is known of its trials."""

    data: Data
    row: Data
    version: int = 1
    changes: list[Data] = field(default_factory=list)
    trials: dict[str, Data] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)


class FakeServer:
    """The runs, the commands that were given, and the streams that are open."""

    def __init__(self, runs: dict[str, FakeRun]) -> None:
        self.runs = runs
        self.commands: list[tuple[str, Data]] = []
        self.asked: list[str] = []
        self.changed = threading.Condition()
        self.closed = False
        self.url = ""

    def change(self, name: str, **changes: Any) -> None:
        """Let something happen in a run: `trials`, `curves`, `summary`, `analyses`."""
        run = self.runs[name]
        with self.changed:
            run.version += 1
            run.row |= changes.get("summary", {})
            answer = {"trials": [], "curves": {}, **changes}
            run.changes.append(answer | {"version": run.version, "summary": dict(run.row)})
            self.changed.notify_all()

    def get(self, path: str, query: dict[str, list[str]]) -> Data:
        """The answer to a question. Raises LookupError."""
        if path == "/api/runs":
            rows = [run.row | {"name": name} for name, run in self.runs.items()]
            return {"folder": "ray_results", "runs": rows}
        _, _, _, name, what, *rest = path.split("/")
        run = self.runs[unquote(name)]
        if what == "data":
            return {"data": run.data, "version": run.version}
        if what == "changes":
            return _merged(run, int(query["after"][0]))
        trial = unquote(rest[0])
        if rest[1:] == ["log"]:
            text, begin = run.logs.get(trial, ""), int(query.get("from", ["0"])[0])
            return {"text": text[begin:], "next": len(text), "ended": False}
        return run.trials[trial]

    def obey(self, content: Data) -> tuple[int, Data]:
        self.commands.append((content["command"], content["arguments"]))
        if content["arguments"].get("text") == "refuse me":
            return 409, {"outcome": "refused", "text": REFUSED}
        return 200, {"id": "c1", "outcome": "applied", "text": f"applied: {content['command']}"}


def _merged(run: FakeRun, after: int) -> Data:
    """What changed after a version, as one answer."""
    if after > run.version:
        return {"version": run.version, "reload": True}
    found: Data = {"version": run.version, "trials": [], "curves": {}, "summary": run.row}
    for change in run.changes:
        if change["version"] > after:
            found["trials"] += change["trials"]
            found["curves"] |= change["curves"]
            if "analyses" in change:
                found.setdefault("analyses", {}).update(change["analyses"])
    return found


@contextmanager
def serving(server: FakeServer) -> Iterator[FakeServer]:
    """Serve on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            where = urlsplit(self.path)
            server.asked.append(self.path)
            if where.path == "/":
                return self.send(200, application().encode(), "text/html; charset=utf-8")
            if where.path == "/api/stream":
                return self.stream(parse_qs(where.query).get("run", [None])[0])
            if where.path.startswith("/api/"):
                try:
                    return self.json(200, server.get(where.path, parse_qs(where.query)))
                except LookupError:
                    return self.json(404, {"error": "there is no such run or trial"})
            try:
                return self.send(200, *asset(where.path[1:]))
            except KeyError:
                return self.json(404, {"error": "there is no such page"})

        def do_POST(self) -> None:
            if self.headers.get("X-Raysweep") != "1":
                return self.json(403, {"error": "the header is missing"})
            body = self.rfile.read(int(self.headers["Content-Length"]))
            return self.json(*server.obey(json.loads(body)))

        def stream(self, run: str | None) -> None:
            # Before the client is told that it is connected: what changes from then on is sent.
            seen = {name: known.version for name, known in server.runs.items()}
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            while not server.closed:
                with server.changed:
                    server.changed.wait(0.1)
                for name, known in server.runs.items():
                    if known.version != seen[name] and run in (None, name):
                        seen[name] = known.version
                        self.event({"run": name, "version": known.version})

        def event(self, content: Data) -> None:
            self.wfile.write(f"event: changed\ndata: {json.dumps(content)}\n\n".encode())
            self.wfile.flush()

        def json(self, status: int, content: Data) -> None:
            self.send(status, json.dumps(content).encode(), "application/json")

        def send(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:  # the browser went to another page
                return

        def log_message(self, *words: Any) -> None:
            """Print nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}/"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closed = True
        http.shutdown()
        http.server_close()
        thread.join()
