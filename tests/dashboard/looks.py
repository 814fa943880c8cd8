"""How a page looks: no fault that axe finds in light and dark, nothing wider than a telephone; a picture if asked for.

Pictures are written where SCREENSHOTS names a folder (`SCREENSHOTS=docs/screenshots`), else nowhere.
"""

from __future__ import annotations

import os
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

FOLDER = os.environ.get("SCREENSHOTS")
SIZE, TELEPHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def check_looks(page: Page, name: str) -> None:
    """Check the page that is open, and leave it light and wide."""
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page)
        assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"
        if FOLDER:
            page.screenshot(path=Path(FOLDER) / f"{name}{'-dark' if scheme == 'dark' else ''}.png", full_page=True)
    page.set_viewport_size(TELEPHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= TELEPHONE["width"], "wider than a telephone"
    if FOLDER:
        page.screenshot(path=Path(FOLDER) / f"{name}-narrow.png", full_page=True)
    page.set_viewport_size(SIZE)
