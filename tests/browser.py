"""A headless Chromium for tests of the page."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PLOTS = (
    "incumbents",
    "curves",
    "parallel",
    "importance",
    "contour",
    "slices",
    "pareto",
    "workers",
)


class Browser:
    """A headless Chromium with one page open, and what it said while opening it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, width: int = 1280, dark: bool = False) -> None:
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(path.as_uri())
        self.until(
            f"return location.href === {path.as_uri()!r} && "
            "document.querySelector('#filters output')?.textContent !== ''"
        )

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def draw_all(self) -> None:
        """Scroll through the page, as a reader does, until each plot was drawn.

        Plots that are drawn late move those below them, so it scrolls again until none is missing.
        """
        for name in PLOTS:
            place = f"document.querySelector('[data-plot={name}]')"
            if self.run(f"return {place}.closest('section').hidden"):
                continue  # a run with one parameter has no contours
            there = f"{place}.scrollIntoView({{behavior: 'instant'}})"
            self.until(f"{there}; return drawn.has('{name}')")
        self.until("return document.querySelectorAll('.main-svg').length > 10")

    def until(self, script: str) -> None:
        began = time.monotonic()
        while not self.run(script):
            assert time.monotonic() - began < 30, script
            time.sleep(0.02)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> set[str]:
        messages = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        urls = {
            one["params"]["request"]["url"]
            for one in messages
            if one["method"] == "Network.requestWillBeSent"
        }
        return {
            url
            for url in urls
            if not url.startswith(("data:", "blob:", "chrome:", "chrome-untrusted:"))
        }


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Start it. The test is skipped, with the reason, where it is not installed."""
    program, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or chromedriver is None:
        pytest.skip(
            "chromium and chromedriver are not installed (Debian: apt-get install chromium "
            "chromium-driver)"
        )
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    quiet = [
        "background-networking",
        "component-update",
        "sync",
        "extensions",
        "default-apps",
        "gpu",
        "dev-shm-usage",
    ]
    for word in [
        "--headless=new",
        "--no-sandbox",
        "--no-first-run",
        f"--user-data-dir={profile}",
        *(f"--disable-{one}" for one in quiet),
    ]:
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
