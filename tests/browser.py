"""Chromium for tests: Debian's, or the one that `playwright install` brought; skipped where there is none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def chromium() -> Iterator[Any]:
    """Open a browser for the block."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install '.[dev]'")
    debian = shutil.which("chromium")
    with playwright.sync_playwright() as driver:
        if debian is None and not os.path.exists(driver.chromium.executable_path):
            pytest.skip("no Chromium; `make browser` installs it")
        # Containers run tests as root, where Chromium has no sandbox; only our own pages are opened.
        browser = driver.chromium.launch(executable_path=debian, args=["--no-sandbox"])
        yield browser
        browser.close()


def contrast(page: Any, selector: str) -> float:
    """Ratio of the luminances of an element's text and what is behind it (WCAG; 4.5 is asked for)."""
    # An element that the page is just replacing has no colours: asked until it has.
    colours = page.wait_for_function(
        """selector => {
            const element = document.querySelector(selector)
            if (!element) return null
            let behind = element
            const clear = one => /, 0\\)$|transparent/.test(getComputedStyle(one).backgroundColor)
            while (behind.parentElement && clear(behind)) behind = behind.parentElement
            const said = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor]
            const numbers = said.map(one => one.match(/[\\d.]+/g))
            return numbers.every(Boolean) && numbers.map(one => one.slice(0, 3).map(Number))
        }""",
        arg=selector,
    ).json_value()
    light, dark = sorted(map(_luminance, colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: list[float]) -> float:
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
