"""A headless Chromium that says how long a page takes to draw something, for `serving.py`.

A time ends when what was waited for is in the document and the frame with it has been painted: the
page looks before each frame, and counts after the one that follows.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 40.0
"""Longer than this nothing is waited for; the whole table is to be there within eight minutes."""
POLL_SECONDS = 0.02
WATCH = """
window.watchFor = (isThere, act) => {
  const look = () => {
    let found = false;
    try { found = isThere(); } catch { /* the page is not that far */ }
    if (found) requestAnimationFrame(() => setTimeout(act));
    else requestAnimationFrame(look);
  };
  look();
};
"""


class Browser:
    """A browser with one page open."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._scripts: list[str] = []

    def open(self, address: str, there: str) -> float | None:
        """Seconds from opening an address until `there`, an expression of JavaScript, is true.

        None if that takes longer than the limit.
        """
        self._driver.get("about:blank")
        for script in self._scripts:
            command = "Page.removeScriptToEvaluateOnNewDocument"
            self._driver.execute_cdp_cmd(command, {"identifier": script})
        source = f"{WATCH} watchFor(() => {there}, () => {{ window.took = performance.now(); }});"
        command = "Page.addScriptToEvaluateOnNewDocument"
        made = self._driver.execute_cdp_cmd(command, {"source": source})
        self._scripts = [made["identifier"]]
        self._driver.get(address)
        return self._awaited("window.took")

    def act(self, act: str, there: str) -> float | None:
        """Seconds from an act, statements of JavaScript, until `there` is true."""
        self._driver.execute_script(
            f"{WATCH} window.took = null; const began = performance.now(); {act};"
            f"watchFor(() => {there}, () => {{ window.took = performance.now() - began; }});"
        )
        return self._awaited("window.took")

    def watch(self, there: str) -> None:
        """Look from now on whether `there` is true."""
        self._driver.execute_script(
            f"{WATCH} window.seenAt = null;"
            f"watchFor(() => {there}, () => {{ window.seenAt = Date.now(); }});"
        )

    def seen(self) -> float | None:
        """When that was seen, in Unix seconds."""
        return self._awaited("window.seenAt")

    def run(self, script: str) -> Any:
        return self._driver.execute_script(script)

    def _awaited(self, name: str) -> float | None:
        """A time in milliseconds that the page sets, in seconds."""
        from selenium.common.exceptions import WebDriverException

        until = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(WebDriverException):  # it is too busy to answer
                found = self._driver.execute_script(f"return {name} ?? null")
                if found is not None:
                    return float(found) / 1000
            time.sleep(POLL_SECONDS)
        return None


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty cache."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    options.page_load_strategy = "none"
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--window-size=1400,900",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(word)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver: Any = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(LIMIT_SECONDS)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
