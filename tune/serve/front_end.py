"""The front end as the server sends it: a page, its script, its styles and plotly."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

from raysweep.results.views.html import report

ASSETS = {
    "app.js": "text/javascript",
    "app.css": "text/css",
    "plotly.js": "text/javascript",
}
"""What the page loads beside itself, with its media type."""
PLOTLY = "package_data/plotly.min.js"
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


@lru_cache
def page() -> str:
    """The HTML of the application."""
    made: Callable[[], str] | None = getattr(report, "application", None)
    if made is None:
        return LIST_PAGE
    return made()


@lru_cache
def asset(name: str) -> tuple[bytes, str]:
    """A file of `ASSETS`, and its entity tag."""
    made: Callable[[str], tuple[bytes, str]] | None = getattr(report, "asset", None)
    if made:
        content, _ = made(name)
    elif name == "plotly.js":
        # Without importing that package, which takes a second.
        content = (files("plotly") / PLOTLY).read_bytes()
    else:
        content = LIST_ASSETS[name].encode()
    return content, f'"{sha256(content).hexdigest()[:32]}"'


def policy(text: str) -> str:
    """The content security policy of a page: its own files, and the inline scripts that it has."""
    hashes = [
        f" 'sha256-{base64.b64encode(sha256(script.encode()).digest()).decode()}'"
        for script in INLINE_SCRIPT.findall(text)
    ]
    return (
        f"default-src 'none'; script-src 'self'{''.join(hashes)}; "
        # Plotly writes its styles into the page.
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


LIST_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>raysweep</title>
<link rel="stylesheet" href="app.css">
<h1>Sweeps</h1>
<table><thead><tr><th>sweep<th>state<th>trials<th>best</thead><tbody></tbody></table>
<script src="app.js"></script>
</html>
"""
LIST_ASSETS = {
    "app.css": "body { font-family: system-ui; margin: 2rem } th, td { text-align: left; "
    "padding: .3rem 1rem .3rem 0 }",
    "app.js": """\
async function list() {
  const { runs } = await (await fetch("api/runs")).json();
  document.querySelector("tbody").replaceChildren(...runs.map((run) => {
    const row = document.createElement("tr");
    const best = run.best ? `${run.metric} ${run.best.value} (${run.best.trial})` : "";
    const trials = `${run.ended}${run.of ? ` of ${run.of}` : ""}`;
    for (const text of [run.name, run.state, trials, best]) row.insertCell().textContent = text;
    return row;
  }));
}
list();
new EventSource("api/stream").addEventListener("changed", list);
""",
}
"""A page with nothing but the list of sweeps."""
