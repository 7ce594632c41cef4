"""The application that `raysweep serve` serves: its pages, its JSON, and commands to sweeps.

Names of runs and trials are looked up among what was found, never joined to a path.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from raysweep.errors import UserError
from raysweep.results.storage.inbox import CommandError
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.results.views.html.page_data import Data
from raysweep.tune.serve.access import MAX_BODY_BYTES, Access, Guard, error
from raysweep.tune.serve.analyses import Analyst
from raysweep.tune.serve.body import Body
from raysweep.tune.serve.folders import Folder
from raysweep.tune.serve.followed_run import FollowedRun
from raysweep.tune.serve.front_end import ASSETS, POLICY, asset, page
from raysweep.tune.serve.live_run import LiveRun
from raysweep.tune.serve.runs import Runs, UnknownRunError
from raysweep.tune.serve.stream import Feed
from raysweep.tune.serve.summary import Facts
from raysweep.tune.serve.trial_view import (
    UnknownTrialError,
    checkpoint,
    known_trial,
    log_part,
    snippet,
    trial_data,
)
from raysweep.tune.steer import give

RUN = "/api/runs/{name:path}"
FOREVER = "private, max-age=31536000, immutable"
"""For what has its version in its address: a year, in seconds, as long as is allowed."""


class Application:
    """The routes, with the runs that they show."""

    def __init__(self, folder: Folder) -> None:
        self.feed = Feed()
        self.runs = Runs(folder, self.feed.changed)
        self._analyst = Analyst(self.runs)

    def asgi(self, access: Access) -> Guard:
        """The ASGI application behind its guard."""
        routes = [
            Route("/", self._page),
            *(Route(f"/{name}", partial(self._asset, name)) for name in ASSETS),
            Route("/api/runs", self._list),
            Route("/api/stream", self._stream),
            Route(f"{RUN}/data", self._data),
            Route(f"{RUN}/changes", self._changes),
            Route(f"{RUN}/trials/{{trial}}", self._trial),
            Route(f"{RUN}/trials/{{trial}}/log", self._log),
            Route(f"{RUN}/commands", self._command, methods=["POST"]),
        ]
        handlers: Any = {
            HTTPException: _http_error,
            UnknownRunError: partial(_user_error, 404),
            UnknownTrialError: partial(_user_error, 404),
            UserError: partial(_user_error, 400),
            OSError: _os_error,
            Exception: _bug,
        }
        app = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers=handlers)
        return Guard(app, access)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.feed.open()
        self.runs.start()
        self._analyst.start()
        try:
            yield
        finally:
            self.feed.close()
            await run_in_threadpool(self._analyst.close)
            await run_in_threadpool(self.runs.close)

    def _page(self, request: Request) -> Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return page().response(request, "text/html", headers)

    def _asset(self, name: str, request: Request) -> Response:
        body, kind, tag = asset(name)
        cache = "no-cache"
        if request.query_params.get("v"):
            cache = FOREVER
        headers = {"ETag": tag, "Cache-Control": cache}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return body.response(request, kind, headers)

    def _list(self, request: Request) -> Response:
        rows = self.runs.rows()
        place, problem = self.runs.folder.place, self.runs.problem or None
        return answer(request, {"folder": place, "problem": problem, "runs": rows})

    async def _stream(self, request: Request) -> Response:
        run = request.query_params.get("run")
        if run is not None:
            await run_in_threadpool(self.runs.__getitem__, run)  # raises UnknownRunError
        return StreamingResponse(
            self.feed.stream(run),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    def _data(self, request: Request) -> Response:
        # Compressed here, not in `data`: the run can be used meanwhile.
        return answered(request, self._run(request).use(data))

    def _changes(self, request: Request) -> Response:
        after = whole(request, "after", 0)
        run = self._run(request)
        return answer(request, run.use(partial(changes, run, after)))

    def _trial(self, request: Request) -> Response:
        run, name = self._run(request), request.path_params["trial"]
        found, trial, live = run.use(lambda live, facts: _trial(live, name))
        kept = None
        if found["exportable"]:  # that of a script holds what raysweep keeps, and no model
            kept = checkpoint(run.path, trial)
        more = {"checkpoint": kept, "snippet": snippet(live, trial, kept)}
        return answer(request, found | more)

    def _log(self, request: Request) -> Response:
        run, name = self._run(request), request.path_params["trial"]
        start = None
        if "from" in request.query_params:
            start = whole(request, "from", 0)
        trial, locked = run.use(lambda live, facts: (known_trial(live, name), facts.locked))
        part = log_part(run.path, trial, start, trial.status.ended or not locked)
        return answer(request, part)

    async def _command(self, request: Request) -> Response:
        run = await run_in_threadpool(self._run, request)
        command, arguments = await read_command(request)
        return await run_in_threadpool(obeyed, request, run, command, arguments)

    def _run(self, request: Request) -> FollowedRun:
        return self.runs[request.path_params["name"]]


def data(live: LiveRun, facts: Facts) -> Body:
    """All that the page shows of a run, as JSON, made once for each version."""
    key = (live.version, facts.locked)
    if live.encoded[0] != key:
        content = {"data": live.data(facts.locked), "version": live.version}
        live.encoded = (key, Body(dumped(content)))
    return live.encoded[1]


def changes(run: FollowedRun, after: int, live: LiveRun, facts: Facts) -> Data:
    """What has changed in a run after a version."""
    found = live.changes(after)
    if found is None:
        return {"version": live.version, "reload": True}
    return {"version": live.version, "summary": run.row(), **found}


def _trial(live: LiveRun, name: str) -> tuple[Data, Any, LiveRun]:
    return trial_data(live, name), known_trial(live, name), live


async def read_command(request: Request) -> tuple[str, Data]:
    """The command in the body of a request, with its arguments. Raises HTTPException."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(400, "expected application/json")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(400, f"the request has more than {MAX_BODY_BYTES:,} bytes")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the request is not JSON") from None
    if isinstance(content, dict):
        command, arguments = content.get("command"), content.get("arguments", {})
        if isinstance(command, str) and isinstance(arguments, dict):
            return command, arguments
    raise HTTPException(400, 'expected {"command": ..., "arguments": {...}}')


def obeyed(request: Request, run: FollowedRun, command: str, arguments: Data) -> Response:
    """What becomes of a command to a run."""
    try:
        given = give(RunDirectory(run.path), command, arguments)
    except CommandError as refusal:
        return answer(request, {"outcome": "refused", "text": str(refusal)}, 409)
    return answer(request, {"id": given.id, "outcome": given.outcome, "text": given.text})


def whole(request: Request, name: str, default: int) -> int:
    """A whole number of the query. Raises HTTPException."""
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > 18:  # as many digits as 2**63 has
        raise HTTPException(400, f"{name}: expected a whole number")
    return int(text)


def answer(request: Request, content: Data, status: int = 200) -> Response:
    """Plain data as an answer."""
    return answered(request, Body(dumped(content)), status)


def answered(request: Request, body: Body, status: int = 200) -> Response:
    return body.response(request, "application/json", {"Cache-Control": "no-store"}, status)


def dumped(content: Data) -> bytes:
    """Plain data as JSON, in which numbers that JSON lacks are null."""
    text = partial(json.dumps, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        found = text(content)
    except ValueError:
        found = text(finite(content))
    # "backslashreplace" writes a surrogate as `\udcff`, which is its escape in JSON too.
    return found.encode("utf-8", "backslashreplace")


def finite(value: Any) -> Any:
    """Plain data without NaN and infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


async def _http_error(request: Request, problem: HTTPException) -> Response:
    return error(problem.status_code, problem.detail)


async def _user_error(status: int, request: Request, problem: UserError) -> Response:
    return error(status, str(problem))


async def _bug(request: Request, problem: Exception) -> Response:
    return error(500, "this is a bug; where the server was started, its traceback is shown")


async def _os_error(request: Request, problem: OSError) -> Response:
    return error(400, f"the run cannot be read: {problem.strerror or problem}")
