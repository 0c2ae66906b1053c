"""Runs axe-core on a page as it stands: WCAG 2.0 to 2.2, levels A and AA, and axe's best practices."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from playwright.sync_api import Page

FOLDER = Path(__file__).parent / "vendor"
AXE = (FOLDER / "axe.min.js").read_text()
assert sha256(AXE.encode()).hexdigest() in re.findall(r"[0-9a-f]{64}", (FOLDER / "README.md").read_text())
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = "([within, tags]) => axe.run(within || document, {runOnly: tags, resultTypes: ['violations']})"


def assert_accessible(page: Page, within: str = "") -> None:
    """Fail with what axe finds wrong on `page`, open shadow roots included; `within` is a selector to look at only."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE)  # through the debugger: a page's Content-Security-Policy stays as it is
    page.evaluate("() => scrollTo(0, 0)")  # half under a sticky header a field looks too small, and one can scroll
    for _ in range(3):  # what is still moving into its place is looked at again
        found = page.evaluate(RUN, [within, TAGS])["violations"]
        if not found:
            return
        page.wait_for_timeout(300)
    said = [f"{each['id']}: {each['help']}\n  {node['html'][:300]}" for each in found for node in each["nodes"]]
    raise AssertionError(f"{page.url}\n" + "\n".join(said))
