"""Who may ask the server, and what every answer carries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from raysweep.results.storage.inbox import Inbox
from raysweep.tune.serve.access import Access, is_loopback
from raysweep.tune.serve.front_end import ASSETS
from tests.made_up import Story, write_run
from tests.serving import BEARER, ORIGIN, OWN, TOKEN, rows, serving

PATHS = ("/", "/api/runs", "/api/runs/cnn/data", "/api/stream", "/app.js", "/nothing")
NOTE = {"command": "note", "arguments": {"text": "x"}}
COMMANDS = "/api/runs/cnn/commands"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path / "cnn", [Story("random", [0.5])])
    return tmp_path


@pytest.fixture
def stranger(folder: Path) -> Iterator[TestClient]:
    """A client without the token."""
    with serving(folder, accept="*/*") as client:
        yield client


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with serving(folder) as client:
        assert rows(client)
        yield client


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer \xe4"},
        {"Cookie": f"raysweep-8765={TOKEN}"},
        {"Cookie": "raysweep-8765="},
    ],
)
def test_nothing_is_answered_without_the_token(
    stranger: TestClient, path: str, headers: dict[str, str]
) -> None:
    given = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    answer = stranger.get(path, headers=given)
    assert answer.status_code == 401
    assert answer.json()["error"].startswith("open the address")


def test_the_address_with_the_token_signs_a_browser_in(stranger: TestClient) -> None:
    assert stranger.get("/?token=wrong-token").status_code == 401
    answer = stranger.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch("raysweep-8765=[0-9a-f]{64}; HttpOnly; Path=/; SameSite=strict", cookie)
    assert TOKEN not in cookie
    assert "<title>raysweep</title>" in stranger.get("/").text
    assert stranger.get("/api/runs").status_code == 200


def test_a_link_of_another_page_signs_in_by_a_page_of_ours(stranger: TestClient) -> None:
    # Behind a redirect a browser would count the next request to that page, without the cookie.
    other = {"Sec-Fetch-Site": "cross-site"}
    answer = stranger.get(f"/?token={TOKEN}", headers=other, follow_redirects=False)
    assert answer.status_code == 200
    assert 'content="0;url=/"' in answer.text
    assert stranger.get("/").status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost:9000", 200),
        ("[::1]:8765", 200),
        ("192.168.0.7:8765", 200),
        ("evil.example:8765", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("", 403),
        ("[", 403),
    ],
)
def test_a_name_that_was_made_to_point_here_is_refused(
    client: TestClient, host: str, status: int
) -> None:
    assert client.get("/api/runs", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_requests_that_another_page_makes_are_refused(client: TestClient, site: str) -> None:
    assert client.get("/api/runs", headers={"Sec-Fetch-Site": site}).status_code == 403
    assert client.get("/", headers={"Sec-Fetch-Site": site}).status_code == 200
    assert client.get("/api/runs", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"X-Raysweep": "1", "Origin": "https://evil.example"}, 403),
        ({"X-Raysweep": "1", "Origin": "http://127.0.0.1:9999"}, 403),
        ({"X-Raysweep": "1", "Origin": "null"}, 403),
        ({"X-Raysweep": "1", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"X-Raysweep": "1", "Content-Type": "text/plain"}, 400),
        ({"X-Raysweep": "1", "Content-Length": "x"}, 400),
        ({"X-Raysweep": "1", "Content-Length": "99999999"}, 400),
        ({"X-Raysweep": "1", "Origin": ORIGIN}, 200),
    ],
)
def test_only_the_own_page_changes_anything(
    client: TestClient, folder: Path, headers: dict[str, str], status: int
) -> None:
    answer = client.post(COMMANDS, json=NOTE, headers=headers)
    assert answer.status_code == status, answer.text
    assert len(Inbox(folder / "cnn").names()) == (status == 200)


def test_what_changes_something_is_no_get(client: TestClient) -> None:
    assert client.get(COMMANDS).status_code == 405
    assert client.post("/api/runs", headers=OWN).status_code == 405
    assert client.options(COMMANDS, headers={"Origin": "https://evil.example"}).status_code == 403


def test_every_answer_is_kept_from_other_pages(client: TestClient) -> None:
    answers = [client.get(path) for path in PATHS if path != "/api/stream"]
    answers.append(client.get("/", headers={"Host": "evil.example"}))
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers


def test_the_page_may_run_its_own_scripts_alone(client: TestClient) -> None:
    csp = client.get("/").headers["content-security-policy"]
    assert "script-src 'self'" in csp
    assert "unsafe" not in csp.replace("style-src 'self' 'unsafe-inline'", "")
    assert (
        re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", client.get("/").text) == []
    )


def test_files_of_the_page_are_kept_by_browsers(client: TestClient) -> None:
    for name in ASSETS:
        answer = client.get(f"/{name}")
        kind = "text/css" if name.endswith("css") else "text/javascript"
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["cache-control"] == "no-cache"
        tag = {"If-None-Match": answer.headers["etag"]}
        assert client.get(f"/{name}", headers=tag).status_code == 304
        assert "immutable" in client.get(f"/{name}?v=1").headers["cache-control"]


def test_unknown_paths_have_an_error_in_one_line(client: TestClient) -> None:
    answer = client.get("/nothing", headers=BEARER)
    assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})


def test_the_session_is_another_with_each_token() -> None:
    assert Access("one-token", 1).session != Access("two-token", 1).session
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost")] == [True] * 3
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")
