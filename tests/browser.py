"""Pages in a real browser: Debian's Chromium, driven by Playwright.

Give a test file that opens pages ``pytestmark = pytest.mark.xdist_group("browser")``, and its tests the fixture
``open_page``.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

WIDE, NARROW = 1280, 390
SCHEMES = ("light", "dark")
SECONDS = 60
"""How long a page may take to become what a test waits for, on a machine that is busy."""

expect.set_options(timeout=SECONDS * 1000)


@dataclass
class Opened:
    """A page in the browser, and what it did that it must not.

    Attributes:
        errors: errors on its console, and exceptions that nobody caught.
        strayed: addresses on other machines that it asked for; none of them is answered.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    strayed: list[str] = field(default_factory=list)

    def check(self) -> None:
        """That there was no error, and no request that leaves the machine."""
        assert not self.errors
        assert not self.strayed


OpenPage = Callable[..., Opened]
"""``open_page(address, width=WIDE, scheme="light")``: a new page there, in a context of its own, loaded."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; skips where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no chromium: `make chromium` as root on Debian installs it")
    # Of a module and not of the session: Playwright's event loop runs as long as it does, and no asyncio.run() beside.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """Opens pages, each in a context of its own, which are closed after the test."""
    with contextlib.ExitStack() as stack:

        def open_in_browser(address: str, width: int = WIDE, scheme: str = "light", height: int = 900) -> Opened:
            context = stack.enter_context(
                chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            )
            context.set_default_timeout(SECONDS * 1000)
            opened = Opened(context.new_page())

            def note(message: ConsoleMessage) -> None:
                if message.type == "error":
                    opened.errors.append(f"{message.text} ({message.location.get('url')})")

            context.on("console", note)
            context.on("weberror", lambda error: opened.errors.append(str(error.error)))
            context.route(_leaves, lambda route: (opened.strayed.append(route.request.url), route.abort()))
            opened.page.goto(address)
            return opened

        yield open_in_browser


def check_accessible(page: Page) -> None:
    """That axe-core has no serious or critical finding on the page as it is now."""
    found = [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: " + "; ".join(str(node["target"]) for node in rule["nodes"])
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in ("serious", "critical")
    ]
    assert not found, "\n".join(found)


def check_fits(page: Page) -> None:
    """That the page is as wide as the window, so that nobody has to scroll sideways."""
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0, f"the page is {over} pixels wider than its window"


def _leaves(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme not in ("file", "data", "blob", "about") and parts.hostname not in ("127.0.0.1", "localhost")
