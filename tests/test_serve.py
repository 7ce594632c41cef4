"""The server's answers about runs: complete at first, then what has changed, whatever happens."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import statistics
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from starlette.testclient import TestClient

from raysweep.results.analysis.retraining import chosen_finalist
from raysweep.results.storage import mirror
from raysweep.results.storage.inbox import Inbox
from raysweep.results.storage.ledger import NAME
from raysweep.results.storage.object_store import ObjectStore
from raysweep.results.storage.run_directory import load
from raysweep.results.views.html.page_data import analyses, page_data
from raysweep.tune.serve import runs as runs_module
from raysweep.tune.serve.body import takes_gzip
from raysweep.tune.serve.folders import LocalFolder, StoredFolder
from raysweep.tune.serve.stream import Feed
from raysweep.tune.status import status
from tests.made_up import Story, write_run
from tests.serving import OWN, Session, rows, serving, until

RUNS = Path(__file__).parent / "data" / "runs"
NASTY = '</script><img src=x onerror="throw 1">'
SPACE = {"lr": {"float": [1e-4, 1.0], "log": True}, "kind": {"choice": ["flat", "deep"]}}


def stories(count: int, studies: tuple[str, ...] = ("random",)) -> list[Story]:
    rng = np.random.default_rng(0)
    return [
        Story(
            studies[i % len(studies)],
            [float(rng.random()) for _ in range(3)],
            {"lr": float(10 ** rng.uniform(-4, 0)), "kind": str(rng.choice(["flat", "deep"]))},
        )
        for i in range(count)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs, of which two lie deeper."""
    place = tmp_path / "runs"
    write_run(place / "cnn", stories(6, ("random", "bohb")), space=SPACE)
    write_run(place / "old/of may/mlp", stories(2), space=SPACE)
    write_run(place / "old/text", [Story("tpe", [math.nan], {}, "diverged", "not finite")])
    return place


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with serving(folder) as client:
        until(lambda: len(rows(client)) == 3)
        yield client


def data(client: TestClient, name: str = "cnn") -> tuple[dict[str, Any], int]:
    answer = client.get(f"/api/runs/{quote(name, safe='')}/data")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"], answer.json()["version"]


def changes(client: TestClient, after: int, name: str = "cnn") -> Any:
    return client.get(f"/api/runs/{name}/changes?after={after}").json()


class Client:
    """What a page holds of a run, brought up to date by changes alone."""

    def __init__(self, client: TestClient, name: str = "cnn") -> None:
        self.client, self.name = client, name
        self.reloads = -1
        self._load()

    def _load(self) -> None:
        self.reloads += 1
        found, self.version = data(self.client, self.name)
        self.rows = dict(enumerate(table(found)))
        self.curves = dict(enumerate(found["curves"]))

    def update(self) -> dict[str, Any]:
        found: dict[str, Any] = changes(self.client, self.version, self.name)
        if found.get("reload"):
            self._load()
            return found
        self.version = found["version"]
        for row in found["trials"]:
            self.rows[row.pop("index")] = row
        self.curves |= {int(index): curve for index, curve in found["curves"].items()}
        return found

    def holds(self, ids: list[str]) -> bool:
        self.update()
        return [self.rows[i]["id"] for i in sorted(self.rows)] == ids


def table(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The table of trials as rows, without the parameters that a trial does not have."""
    config = found["trials"].pop("config")
    made = []
    for i in range(len(found["trials"]["id"])):
        values = {name: column[i] for name, column in config.items()}
        cells = {name: column[i] for name, column in found["trials"].items()}
        made.append(cells | {"config": values})
    return made


def test_the_list_names_the_winner_after_a_confirmation(tmp_path: Path) -> None:
    shutil.copytree(RUNS / "confirmed", tmp_path / "confirmed")
    shutil.copytree(RUNS / "compared", tmp_path / "compared")
    chosen = chosen_finalist(load(tmp_path / "confirmed"))
    assert chosen is not None
    with serving(tmp_path) as client:
        until(lambda: all(row["state"] == "finished" for row in rows(client).values()))
        winner = rows(client)["confirmed"]["winner"]
        assert winner["trial"] == chosen.trial
        assert winner["mean"] == pytest.approx(statistics.mean(chosen.validation), rel=1e-3)
        assert rows(client)["compared"]["winner"] is None


def test_the_list_has_every_run_with_what_status_says_of_it(
    client: TestClient, folder: Path
) -> None:
    found = client.get("/api/runs").json()
    assert found["folder"] == str(folder)
    for row in found["runs"]:
        expected = status(load(folder / row["name"]))
        expected["best"] = expected["best"] or None
        same = ("state", "metric", "trials", "ended", "epochs", "seconds", "best", "failures")
        assert {key: row[key] for key in same} == {key: expected[key] for key in same}
        assert row["began"] <= row["updated"]
    assert rows(client)["old/text"]["failures"] == {"not finite": 1}
    spark = rows(client)["cnn"]["spark"]
    assert spark == sorted(spark)
    assert len(spark) == 18


def test_the_data_is_that_of_the_shared_page(client: TestClient, folder: Path) -> None:
    found, _ = data(client, "old/of may/mlp")
    run = load(folder / "old/of may/mlp")
    expected = json.loads(json.dumps(page_data(run)))
    later = {*analyses(run), "written"}
    assert found.keys() >= expected.keys() - later
    for name in expected.keys() - later:
        assert found[name] == expected[name], name
    assert found["importance"] == {"why": "it is being computed"}


def test_the_data_has_what_the_forms_offer(client: TestClient, folder: Path) -> None:
    with Session(folder / "cnn") as session:
        change = {"parallel": 4, "space": {"lr": {"low": 0.01, "high": 0.1}}}
        session.write("command", id="c1", command="set", arguments=change, outcome="applied")
        until(lambda: rows(client)["cnn"]["parallel"] == 4)
    found, _ = data(client)
    assert found["parallel"] == 4
    domains = {parameter["name"]: parameter["domain"] for parameter in found["parameters"]}
    assert domains == {
        "lr": {"low": 0.01, "high": 0.1, "whole": False, "or": []},
        "kind": {"values": ["flat", "deep"]},
    }
    assert data(client, "old/of may/mlp")[0]["parallel"] == "auto"


def test_trials_of_several_studies_keep_their_places(client: TestClient) -> None:
    found, _ = data(client)
    assert found["trials"]["id"] == [f"{name}-{i}" for i in range(3) for name in ("random", "bohb")]
    assert found["curves"][3][-1] == [3, found["trials"]["last"][3]]


def test_changes_hold_what_has_changed_and_nothing_else(client: TestClient, folder: Path) -> None:
    _, version = data(client)
    with Session(folder / "cnn") as session:
        session.propose("random", 3, lr=0.5, kind="deep")
        session.report("random-3", 1, 0.25)
        found = until(lambda: changes(client, version)["curves"] and changes(client, version))
        assert found["curves"] == {"6": [[1, 0.25]]}
        [row] = found["trials"]
        assert row["index"] == 6
        assert (row["id"], row["status"], row["last"]) == ("random-3", "running", 0.25)
        assert row["config"] == {"lr": 0.5, "kind": "deep"}
        assert found["summary"] == rows(client)["cnn"]
        assert found["summary"]["state"] == "running"
        again = changes(client, found["version"])
        assert (again["trials"], again["curves"]) == ([], {})
    until(lambda: rows(client)["cnn"]["state"] == "interrupted")


def test_a_page_that_follows_the_changes_holds_what_a_new_one_gets(
    client: TestClient, folder: Path
) -> None:
    page, rng = Client(client), np.random.default_rng(1)
    ids = [f"{name}-{i}" for i in range(3) for name in ("random", "bohb")]
    with Session(folder / "cnn") as session:
        for step in range(40):
            name = str(rng.choice(["random", "bohb"]))
            number = sum(trial.startswith(name) for trial in ids)
            session.propose(name, number, lr=float(rng.random()), kind="flat")
            ids.append(f"{name}-{number}")
            for epoch in range(1, int(rng.integers(1, 4))):
                session.report(str(rng.choice(ids[6:])), epoch + 3 * step, float(rng.random()))
            if rng.random() < 0.3:
                page.update()
            if rng.random() < 0.3:
                session.end(str(rng.choice(ids)), "stopped", NASTY)
        session.write("noted", ids[-1], notes={"node": "last"})
        until(lambda: page.holds(ids) and page.rows[45]["node"] == "last")
        new, _ = data(client)
    assert page.reloads == 0
    assert page.curves == dict(enumerate(new["curves"]))
    expected = table(new)
    columns = dict.fromkeys(expected[0])  # a column that came later is empty in older rows
    assert [columns | row for row in page.rows.values()] == expected


def test_a_version_that_is_not_known_has_the_page_load_again(
    client: TestClient, folder: Path
) -> None:
    page = Client(client)
    assert changes(client, 0) == {"version": page.version, "reload": True}
    assert changes(client, page.version + 1)["reload"]
    shutil.rmtree(folder / "cnn")
    write_run(folder / "cnn", stories(20), space=SPACE)
    until(lambda: page.holds([f"random-{i}" for i in range(20)]))
    assert page.reloads == 1


def test_the_analyses_come_once_they_are_made(client: TestClient, folder: Path) -> None:
    _, version = data(client)
    found = until(lambda: changes(client, version).get("analyses"))
    expected = json.loads(json.dumps(analyses(load(folder / "cnn"))))
    assert found["importance"] == expected["importance"]
    assert found["incumbents"] == expected["incumbents"]
    assert not changes(client, changes(client, version)["version"]).get("analyses")
    assert data(client)[0]["importance"] == expected["importance"]


def test_runs_come_and_go(client: TestClient, folder: Path) -> None:
    write_run(folder / "new/one", stories(1))
    shutil.rmtree(folder / "old/text")
    until(lambda: rows(client).keys() == {"cnn", "old/of may/mlp", "new/one"})
    answer = client.get("/api/runs/old/text/data")
    assert (answer.status_code, answer.json()) == (404, {"error": "there is no run of this name"})


def test_a_folder_that_cannot_be_read_is_said_and_its_runs_stay(folder: Path) -> None:
    place = LocalFolder(folder)
    with serving(place) as client:
        until(lambda: len(rows(client)) == 3)
        place.find = refuse  # type: ignore[method-assign]
        problem = until(lambda: client.get("/api/runs").json()["problem"])
        assert problem == f"{folder} cannot be read: [Errno 5] no answer"
        assert len(rows(client)) == 3


def refuse() -> dict[str, Path]:
    raise OSError(5, "no answer")


def test_a_run_directory_is_served_alone_under_its_name(folder: Path) -> None:
    with serving(folder / "cnn") as client:
        assert rows(client).keys() == {"cnn"}
        assert len(data(client)[0]["curves"]) == 6


def test_damaged_runs_are_shown_with_the_reason(folder: Path) -> None:
    for name in ("line", "event", "binary", "bare"):
        shutil.copytree(folder / "cnn", folder / name)
    with Session(folder / "event") as session:
        session.report("nobody-7", 1, 0.5)
        session.propose("random", 3, lr=0.5, kind="flat")
    lines = (folder / "line" / NAME).read_bytes().splitlines(keepends=True)
    (folder / "line" / NAME).write_bytes(b"".join([*lines[:8], b"{}\n", *lines[9:]]))
    (folder / "binary" / NAME).write_bytes(b"\xff\xfe\n" * 100)
    (folder / "bare/sweep.yaml").unlink()
    write_run(folder / "odd", stories(1), budget=["epochs"])
    (folder / "locked").mkdir()
    (folder / "locked" / NAME).mkdir()
    with serving(folder) as client:
        until(lambda: all(row["state"] != "loading" for row in rows(client).values()))
        found = rows(client)
        assert {name for name in found if found[name]["state"] == "damaged"} == {
            "line",
            "event",
            "binary",
            "bare",
            "odd",
        }
        assert found["line"]["reason"].endswith(
            f"{NAME}:9: the line is damaged: its checksum does not match"
        )
        assert "nobody" in found["event"]["reason"]
        assert "not UTF-8" in found["binary"]["reason"]
        assert "sweep.yaml cannot be read" in found["bare"]["reason"]
        assert data(client, "line")[0]["trials"]["id"] == ["random-0", "bohb-0"]
        answer = client.get("/api/runs/bare/data")
        assert answer.status_code == 400
        assert "sweep.yaml cannot be read" in answer.json()["error"]
        assert found["cnn"]["state"] == "interrupted"
        shutil.copy(folder / "cnn/sweep.yaml", folder / "bare/sweep.yaml")
        until(lambda: rows(client)["bare"]["state"] == "interrupted")


def test_looking_at_a_run_runs_no_code_of_it(folder: Path) -> None:
    (folder / "evil.py").write_text(f"open({str(folder / 'made')!r}, 'w')\n")
    sweep: dict[str, Any] = {"searcher": [{"name": f"{folder}/evil.py:Evil"}], "space": SPACE}
    limits: dict[str, Any] = {"budget": {"epochs": 3, "trials": 8}, "scheduler": {"name": "none"}}
    run = write_run(folder / "evil", stories(2), **limits, **sweep)
    with Session(run) as session, serving(folder) as client:
        session.write("opened", levels=[])
        session.propose("random", 2, lr=0.5, kind="flat")
        session.report("random-2", 1, 0.5)
        row = until(lambda: rows(client)["evil"]["seconds_left"] and rows(client)["evil"])
        assert row["of"] == 8
        assert row["state"] in ("running", "silent")  # on a slow machine
        assert data(client, "evil")[0]["trials"]["id"] == ["random-0", "random-1", "random-2"]
    assert not (folder / "made").exists()


def test_histories_that_nobody_looks_at_are_forgotten_and_read_again(
    client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, before = Client(client), rows(client)
    monkeypatch.setattr(runs_module, "USED_SECONDS", 0.0)
    monkeypatch.setattr(runs_module, "MAX_REPORTS", 0)
    until(lambda: changes(client, page.version).get("reload"))
    assert rows(client) == before
    page.update()
    assert page.holds([f"{name}-{i}" for i in range(3) for name in ("random", "bohb")])
    with Session(folder / "cnn") as session:
        session.propose("random", 3, lr=0.5, kind="flat")
        until(lambda: rows(client)["cnn"]["trials"].get("running") == 1)


def test_markup_stays_text(client: TestClient, folder: Path) -> None:
    run = write_run(
        folder / "<b>run", [Story("random", [0.5], {NASTY: NASTY}, "failed", NASTY)], space=SPACE
    )
    (run / "logs").mkdir()
    (run / "logs/random-0.log").write_text(NASTY)
    until(lambda: "<b>run" in rows(client))
    name = quote("<b>run")
    paths = ("data", "changes?after=0", "trials/random-0", "trials/random-0/log")
    for path in ("", *(f"/{name}/{path}" for path in paths)):
        answer = client.get(f"/api/runs{path}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
    found = client.get(f"/api/runs/{name}/trials/random-0").json()
    assert (found["reason"], found["config"]) == (NASTY, {NASTY: NASTY})
    assert rows(client)["<b>run"]["failures"] == {NASTY: 1}


def test_numbers_that_json_lacks_and_surrogates_are_sent(client: TestClient) -> None:
    trial = client.get("/api/runs/old/text/trials/tpe-0").json()
    assert trial["metrics"] == {"acc": [None]}
    assert trial["status"] == "diverged"


def test_a_trial_opens_with_all_that_is_known_of_it(client: TestClient, folder: Path) -> None:
    sweep: dict[str, Any] = {"space": SPACE, "scheduler": {"name": "asha", "type": "promotion"}}
    run = write_run(folder / "run", stories(2), **sweep)
    with Session(run) as session:
        session.propose("random", 2, lr=0.5, kind="deep")
        session.report("random-2", 1, 2.0)
        session.end("random-2", "stopped", "epoch 1: behind")
        session.write("promoted", "random-2", reason="promoted after epoch 1")
        session.write("started", "random-2")
        audited = {"epoch": 1, "reason": "behind"}
        session.write("noted", "random-2", notes={"audited": audited, "peak_memory": 5})
        session.report("random-2", 2, 3.0)
        about = {"trial": "random-2", "text": "odd"}
        command: dict[str, Any] = {
            "id": "a",
            "command": "note",
            "arguments": about,
            "outcome": "applied",
        }
        session.write("command", reason="noted", **command)
        notes = {"traceback": "Traceback\nValueError: no", "device": "cuda:0", "node": "n"}
        session.write("ended", "random-2", status="failed", reason="ValueError: no", notes=notes)
    (run / "trials/random-2").mkdir(parents=True)
    (run / "trials/random-2/last.pt").touch()
    until(lambda: rows(client).get("run", {}).get("trials", {}).get("failed"))
    found = client.get("/api/runs/run/trials/random-2").json()
    assert found["metrics"] == {"acc": [2.0, 3.0], "other": [-1.0, -2.0]}
    assert (found["epochs"], found["seconds"]) == ([1, 2], [1.0, 2.0])
    assert found["decisions"] == [
        {"epoch": 1, "kind": "paused", "text": "behind"},
        {"epoch": 1, "kind": "promoted", "text": "promoted after epoch 1"},
        {"epoch": 1, "kind": "continued", "text": "trained on from epoch 1"},
        {"epoch": 1, "kind": "audited", "text": "would have been stopped: behind"},
        {"epoch": 2, "kind": "failed", "text": "ValueError: no"},
    ]
    assert (found["notes"], found["traceback"]) == (["odd"], "Traceback\nValueError: no")
    assert (found["peak_memory"], found["node"], found["device"]) == (5, "n", "cuda:0")
    assert (found["attempts"], found["parent"], found["epochs_allowed"]) == (2, None, 3)
    assert found["difference"] == []
    assert found["checkpoint"] == str(run / "trials/random-2/last.pt")
    assert found["checkpoint"] in found["snippet"]
    compile(found["snippet"], "snippet", "exec")
    with zipfile.ZipFile(run / "trials/random-2/last.pt", "w") as file:
        file.writestr("archive/data.pkl", b"a pickle of epochs alone")
    stateless = client.get("/api/runs/run/trials/random-2").json()
    assert stateless["checkpoint"] is None, "the train function named no model"
    other = client.get("/api/runs/run/trials/random-0").json()
    assert other["difference"][0]["best"] == 0.5
    assert other["checkpoint"] is None


def test_a_log_comes_in_parts_from_a_byte_on(client: TestClient, folder: Path) -> None:
    place = folder / "cnn/logs"
    place.mkdir()
    log, address = place / "bohb-1.log", "/api/runs/cnn/trials/bohb-1/log"
    assert client.get(address).json() == {"text": "", "next": 0, "ended": True}
    log.write_bytes("one\ntwö".encode()[:-1])
    part = client.get(f"{address}?from=0").json()
    assert part == {"text": "one\ntw", "next": 6, "ended": False}
    log.write_text("one\ntwö\n")
    part = client.get(f"{address}?from=6").json()
    assert part == {"text": "ö\n", "next": 9, "ended": True}
    log.write_text("".join(f"line {i}\n" for i in range(100_000)))
    last = client.get(address).json()
    assert len(last["text"]) <= 2**16
    assert last["text"].startswith("line ")
    assert last["text"].endswith("line 99999\n")
    first = client.get(f"{address}?from=0").json()
    assert (len(first["text"]), first["next"], first["ended"]) == (2**18, 2**18, False)
    assert client.get(f"{address}?from=x").status_code == 400
    with Session(folder / "cnn") as session:
        session.propose("bohb", 3, lr=0.5, kind="flat")
        until(lambda: rows(client)["cnn"]["state"] == "running")
        assert not client.get("/api/runs/cnn/trials/bohb-3/log").json()["ended"]


def test_a_command_is_carried_out_by_the_session(client: TestClient, folder: Path) -> None:
    ended = threading.Event()

    def work(session: Session) -> None:
        inbox = Inbox(folder / "cnn")
        while not ended.wait(0.01):
            for name in inbox.names():
                command = inbox.read(name)
                assert command is not None
                outcome = "refused" if command.command == "pause" else "applied"
                arguments = dict(command.arguments)
                about: dict[str, Any] = {
                    "command": command.command,
                    "arguments": arguments,
                    "reason": "so",
                }
                session.write("command", id=command.id, outcome=outcome, **about)
                inbox.remove(name)

    with Session(folder / "cnn") as session:
        session.write("opened", levels=[])
        thread = threading.Thread(target=work, args=[session])
        thread.start()
        try:
            until(lambda: rows(client)["cnn"]["state"] == "running")
            answer = order(client, "note", text=NASTY)
            assert answer.status_code == 200
            assert (answer.json()["outcome"], answer.json()["text"]) == ("applied", "applied: so")
            refused = order(client, "pause")
            assert refused.status_code == 409
            assert refused.json() == {"outcome": "refused", "text": "refused: so"}
            until(lambda: rows(client)["cnn"]["notes"] == [NASTY])
        finally:
            ended.set()
            thread.join()


def order(client: TestClient, command: str, **arguments: Any) -> Any:
    content = {"command": command, "arguments": arguments}
    return client.post("/api/runs/cnn/commands", json=content, headers=OWN)


def test_a_command_without_a_session_waits_and_is_shown(client: TestClient, folder: Path) -> None:
    answer = order(client, "tag", tags=["baseline"])
    assert answer.status_code == 200
    assert answer.json()["outcome"] == "waiting"
    [command] = Inbox(folder / "cnn").waiting()
    assert (command.id, command.command) == (answer.json()["id"], "tag")
    waiting = until(lambda: rows(client)["cnn"]["waiting"])
    arguments, text = {"tags": ["baseline"]}, "tag baseline"
    assert waiting == [{"id": command.id, "command": "tag", "arguments": arguments, "text": text}]
    assert order(client, "pause").status_code == 409
    assert len(Inbox(folder / "cnn").names()) == 1
    answer = order(client, "withdraw", withdrawn=command.id)
    assert answer.json()["text"] == "withdrawn: tag baseline"
    until(lambda: not rows(client)["cnn"]["waiting"])
    assert order(client, "withdraw", withdrawn=command.id).status_code == 409
    assert order(client, "withdraw").status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"command": 1}', 400),
        (b'{"command": "note", "arguments": []}', 400),
        (b"[" * 100_000, 400),
        (b'{"command": "' + b"x" * 2**20 + b'"}', 400),
    ],
)
def test_what_is_no_command_is_refused(client: TestClient, body: bytes, status: int) -> None:
    headers = {**OWN, "Content-Type": "application/json"}
    answer = client.post("/api/runs/cnn/commands", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]
    parts = client.post("/api/runs/cnn/commands", content=iter([body]), headers=headers)
    assert parts.status_code == status


@pytest.mark.parametrize(
    "name",
    ["..", "../secret", "%2e%2e%2fsecret", "cnn/../../secret", "/etc", "cnn%00", "old", "", "."],
)
def test_names_are_looked_up_and_never_followed(
    client: TestClient, folder: Path, name: str
) -> None:
    write_run(folder.parent / "secret", stories(1))
    for path in ("data", "changes", "trials/random-0", "trials/random-0/log"):
        assert client.get(f"/api/runs/{name}/{path}").status_code == 404
    for trial in ("..%2f..%2fx", "random-99", "%2fetc%2fpasswd", "..", name or "x"):
        assert client.get(f"/api/runs/cnn/trials/{trial}/log").status_code == 404


def test_a_ledger_cannot_have_another_file_shown_as_a_log(client: TestClient, folder: Path) -> None:
    (folder.parent / "private-0.log").write_text("private")
    run = write_run(folder / "evil", [Story("../../../private", [0.5]), Story("link", [0.5])])
    (run / "logs").mkdir()
    (run / "logs/link-0.log").symlink_to(folder.parent / "private-0.log")
    until(lambda: "evil" in rows(client))
    for trial in ("../../../private-0", "..%2F..%2F..%2Fprivate-0", "link-0"):
        assert "private" not in client.get(f"/api/runs/evil/trials/{trial}/log").text


@pytest.mark.parametrize("path", ["/", "/app.js", "/plotly.js", "/api/runs/large/data"])
def test_answers_are_compressed_for_those_who_ask(tmp_path: Path, path: str) -> None:
    write_run(tmp_path / "large", stories(60), space=SPACE)
    with serving(tmp_path) as client:
        until(lambda: rows(client))
        packed, plain = client.get(path), client.get(path, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 0.5 * int(plain.headers["content-length"])
    assert "content-encoding" not in plain.headers
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    if path.startswith("/api"):
        assert packed.json()["version"] == plain.json()["version"]
    else:
        assert packed.content == plain.content


@pytest.mark.parametrize(
    ("header", "is_taken"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.5", True),
        ("GZIP", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, identity", False),
        ("br", False),
        ("", False),
    ],
)
def test_a_client_says_whether_it_takes_gzip(header: str, is_taken: bool) -> None:
    assert takes_gzip(header) is is_taken


def test_a_stream_says_what_has_changed(tmp_path: Path) -> None:
    async def listen() -> list[str]:
        feed = Feed()
        feed.open()
        one, every = feed.stream("a"), feed.stream(None)
        got = [await anext(one), await anext(every)]
        threading.Thread(target=feed.changed, args=["b", 2]).start()
        got.append(await anext(every))
        for version in (3, 4):
            feed.changed("a", version)
        await asyncio.sleep(0.01)
        got += [await anext(one), await anext(every)]
        feed.close()
        return got + [part async for part in one]

    hello = ": raysweep\n\n"
    assert asyncio.run(listen()) == [
        hello,
        hello,
        'event: changed\ndata: {"run": "b", "version": 2}\n\n',
        'event: changed\ndata: {"run": "a", "version": 4}\n\n',
        'event: changed\ndata: {"run": "a", "version": 4}\n\n',
    ]


def test_runs_in_object_storage_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raysweep.tune.serve.folders.SYNC_SECONDS", 0.1)
    monkeypatch.setattr("raysweep.tune.serve.followed_run.REMOTE_SECONDS", 0.1)
    local = write_run(tmp_path / "local", stories(3), space=SPACE)
    store = ObjectStore(f"file://{tmp_path}/store/deep/a")
    folder = mirror.create(store)
    (folder / "sweep.yaml").write_bytes((local / "sweep.yaml").read_bytes())
    mirror.upload(folder)
    ledger = mirror.open_ledger(folder)
    for event in load(local).events:
        ledger.append(event)
    with serving(StoredFolder(f"file://{tmp_path}/store")) as client:
        until(lambda: rows(client).get("deep/a", {}).get("trials") == {"completed": 3})
        page = Client(client, "deep/a")
        seed = {"config": {"lr": 0.5, "kind": "flat"}, "seed": 3, "time": time.time()}
        ledger.append({"event": "proposed", "study": "random", "number": 3, **seed})
        until(lambda: page.holds([f"random-{i}" for i in range(4)]))
        assert page.reloads == 0
        assert rows(client)["deep/a"]["state"] == "running"
        store.write("logs/random-0.log", b"printed")
        store.write("trials/random-0/best.pt", b"")
        log = client.get("/api/runs/deep/a/trials/random-0/log").json()
        assert log["text"] == "printed"
        trial = client.get("/api/runs/deep/a/trials/random-0").json()
        assert trial["checkpoint"] == f"{store.url}/trials/random-0/best.pt"
        ledger.close()
        until(lambda: rows(client)["deep/a"]["state"] == "interrupted")
