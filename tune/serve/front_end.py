"""The front end as the server sends it: a page, its script, its styles and plotly."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from raysweep.results.views.html import report
from raysweep.tune.serve.body import Body

ASSETS = ("app.js", "app.css", report.PLOTLY)
"""What the page loads beside itself."""
POLICY = (
    "default-src 'none'; script-src 'self'; "
    # Plotly writes its styles into the page.
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The content security policy of the page: nothing but the server's own files."""


@lru_cache
def page() -> Body:
    """The HTML of the application."""
    return Body(report.application().encode())


@lru_cache
def asset(name: str) -> tuple[Body, str, str]:
    """A file of `ASSETS`: its content, its media type, and its entity tag.

    The tag is a weak one, because it is that of the compressed content too.
    """
    content, kind = report.asset(name)
    return Body(content), kind, f'W/"{sha256(content).hexdigest()[:32]}"'
