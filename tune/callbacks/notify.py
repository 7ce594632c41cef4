"""`notify: [URL]`: a message at the end, an interruption, the first failure and a new best.

A thread sends them, so that no training waits. A URL that fails is said once, without the URL
itself, and the sweep continues.
"""

from __future__ import annotations

import importlib.util
import json
import math
import queue
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from raysweep.errors import UserError
from raysweep.formatting import duration, number, plural
from raysweep.history import Event, Status
from raysweep.text_limits import message
from raysweep.tune.callbacks.base import Callback
from raysweep.tune.controller import SweepController
from raysweep.tune.notify_urls import is_place, is_web, resolved, shown
from raysweep.tune.sweep import Sweep

SEND_SECONDS = 10.0
"""Seconds that a server has for an answer."""
CLOSE_SECONDS = 5.0
"""Seconds that the end of a session waits for what is still to be sent."""
BEST_SECONDS = 600.0
"""The least seconds between two messages about a new best. An early search finds many."""
MOST_WAITING = 100
"""Messages that wait for a server; further ones are left out."""
FAILED = (Status.FAILED, Status.DIVERGED, Status.OOM)


class NotifyError(UserError):
    """A URL that cannot be used here, in one line."""


@dataclass(frozen=True)
class Message:
    """What is sent. event: ended, interrupted, failed or best. text: the whole in one line."""

    event: str
    run: str
    text: str
    metric: str
    trial: str = ""
    value: float | None = None
    time: float = 0.0


def notifiers(sweep: Sweep, run: str, say: Callable[[str], None]) -> list[Callback]:
    """The callback that sends messages; none if the file names no URL. Raises NotifyError."""
    urls = []
    for url in sweep.notify:
        found = resolved(url)
        if not is_place(found):
            say(f"notify: {_unknown(url)}")
            continue
        if not is_web(found) and importlib.util.find_spec("apprise") is None:
            scheme = found.partition("://")[0]
            raise NotifyError(f"notify: {scheme}:// needs apprise: pip install 'raysweep[notify]'")
        urls.append(found)
    return [Notifier(run, urls, say)] if urls else []


def _unknown(url: str) -> str:
    if url.startswith("{"):
        return f"{url} is not set to a URL, so no message goes there"
    return f"{shown(url)} is not known on this machine; name it with --set 'notify=[URL]'"


class Notifier(Callback):
    """Sends messages about a run to URLs."""

    def __init__(
        self,
        run: str,
        urls: Sequence[str],
        say: Callable[[str], None],
        best_seconds: float = BEST_SECONDS,
    ) -> None:
        self._run = run
        self._say = say
        self._best_seconds = best_seconds
        self._last_best = -math.inf
        self._best = math.inf
        self._failed = False
        self._search: SweepController | None = None
        self._senders = [Sender(url) for url in urls]

    def on_event(self, event: Event, controller: SweepController) -> None:
        self._search = self._search or controller
        if controller is not self._search:
            return  # what retrainings (`confirm`) reach is no news of the search
        if event["event"] == "reported":
            self._reported(event, controller)
        elif event["event"] == "ended" and event["status"] in FAILED and not self._failed:
            self._failed = True
            reason = str(event["reason"]).partition("\n")[0]
            text = f"{event['trial']} {event['status']}: {reason}"
            self._send("failed", text, controller, event["trial"])

    def on_tick(self, controller: SweepController) -> None:
        self._say_failures()

    def close(self, controller: SweepController) -> None:
        kind = "interrupted" if controller.interrupted else "ended"
        if controller.mistake:
            kind = "failed"
        self._send(kind, _summary(controller, kind), controller)
        until = time.monotonic() + CLOSE_SECONDS
        for sender in self._senders:
            sender.close(until - time.monotonic())
        self._say_failures()

    def _reported(self, event: Event, controller: SweepController) -> None:
        """Tell of a new best, unless another one was told of a moment ago."""
        bests = [history.best[1].loss for history in controller.histories.values() if history.best]
        best, before = min(bests, default=math.inf), self._best
        self._best = best
        is_new = event["loss"] == best < before
        if not is_new or sum(history.epochs for history in controller.histories.values()) == 1:
            return  # the first report of all is the best of one
        now = time.monotonic()
        if now - self._last_best < self._best_seconds:
            return
        self._last_best = now
        metric, interval = controller.sweep.metric, controller.sweep.budget.interval
        value = metric.value(best)
        text = f"new best {metric.name} {number(value, 6)}"
        text += f" {interval.within(event['epoch'])} of {event['trial']}"
        self._send("best", text, controller, event["trial"], value)

    def _send(
        self,
        kind: str,
        text: str,
        controller: SweepController,
        trial: str = "",
        value: float | None = None,
    ) -> None:
        whole = message(f"{self._run}: {text}")
        metric = controller.sweep.metric.name
        sent = Message(kind, self._run, whole, metric, trial, value, time.time())
        for sender in self._senders:
            sender.put(sent)

    def _say_failures(self) -> None:
        for sender in self._senders:
            if why := sender.take_failure():
                self._say(f"notify: {why}")


def _summary(controller: SweepController, kind: str) -> str:
    """What a session has come to, in one line."""
    trials = list(controller.trials)
    ended = sum(trial.status.ended for trial in trials)
    bad = sum(trial.status in FAILED for trial in trials)
    text = f"{kind} after {duration(controller.seconds)}, {plural(ended, 'trial')}"
    if bad:
        text += f" ({bad} failed)"
    if why := controller.mistake or controller.stopping:
        text += f": {why}"
    bests = [history.best for history in controller.histories.values() if history.best]
    if bests:
        trial, report = min(bests, key=lambda best: best[1].loss)
        metric = controller.sweep.metric
        text += f"; best {metric.name} {number(metric.value(report.loss), 6)} of {trial.id}"
    return text


class Sender:
    """Sends messages to one URL from a thread of its own, which ends with the process."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: queue.Queue[Message | None] = queue.Queue(MOST_WAITING)
        self._failures: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._said = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="raysweep-notify")
        self._thread.start()

    def put(self, sent: Message) -> None:
        """Have a message sent, unless too many wait already."""
        try:
            self._waiting.put_nowait(sent)
        except queue.Full:
            self._fail("it does not keep up, and messages are left out")

    def close(self, seconds: float) -> None:
        """Wait so long for what is still to be sent."""
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive():
            self._fail("no answer yet; the session ends without it")

    def take_failure(self) -> str:
        """Why messages do not arrive; "" if they do, or if it was said before."""
        try:
            return self._failures.get_nowait()
        except queue.Empty:
            return ""

    def _fail(self, why: str) -> None:
        if not self._said:
            self._said = True
            self._failures.put(f"{shown(self._url)}: {why}")

    def _work(self) -> None:
        while (sent := self._waiting.get()) is not None:
            try:
                send(self._url, sent)
            except Exception as error:  # whatever apprise raises must not be lost in a thread
                self._fail(_reason(error))


def _reason(error: Exception) -> str:
    """Why sending failed, in words that hold no part of a URL."""
    if isinstance(error, TimeoutError):
        return f"no answer within {SEND_SECONDS:.0f} s"
    code = getattr(error, "code", None)
    if code is not None:
        return f"it answers with HTTP status {code}"
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return f"no answer within {SEND_SECONDS:.0f} s"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(cause, NotDelivered | HTTPException):
        return type(cause).__name__
    return type(error).__name__


class NotDelivered(Exception):
    """Apprise could not deliver a message, or does not understand its URL."""


def send(url: str, sent: Message) -> None:
    """Send a message. Raises what goes wrong."""
    if not is_web(url):
        _send_by_apprise(url, sent)
        return
    request = urllib.request.Request(
        url,
        data=json.dumps(body(url, sent)).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "raysweep"},
    )
    with urllib.request.urlopen(request, timeout=SEND_SECONDS) as answer:
        answer.read(1)


def body(url: str, sent: Message) -> Mapping[str, Any]:
    """The JSON of a message in the form that its receiver expects."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "hooks.slack.com":
        # https://docs.slack.dev/messaging/formatting-message-text: these three are escaped.
        text = sent.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return {"text": text}
    if host in ("discord.com", "discordapp.com") and parts.path.startswith("/api/webhooks/"):
        return {"content": sent.text[:2000], "allowed_mentions": {"parse": []}}
    return asdict(sent)


def _send_by_apprise(url: str, sent: Message) -> None:
    import logging

    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its messages name the URL
    service = apprise.Apprise()
    if not service.add(url) or not service.notify(body=sent.text, title=f"raysweep {sent.event}"):
        raise NotDelivered
