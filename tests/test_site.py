"""The documentation as a site: built without a warning, all of it reachable, nothing fetched from elsewhere."""

import functools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import NARROW, OpenPage, check_fits
from commands import ROOT

from pipeline import options
from schemas.tables import TABLES

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder], cwd=ROOT, capture_output=True,
        text=True, timeout=300,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_the_reference_has_every_option_and_every_column(site: Path) -> None:
    page = (site / "reference/command-line/index.html").read_text()
    for command, parser in options._parser()._subparsers._group_actions[0].choices.items():  # type: ignore[union-attr]
        assert f'id="facetmine-{command}"' in page
        for option in parser._option_string_actions:
            assert option in page, f"{command} {option}"
    page = (site / "reference/tables/index.html").read_text()
    for table, schema in TABLES.items():
        section = page.partition(f'id="{table}"')[2].partition("<h2")[0]
        for name in schema.names:
            assert f"<code>{name}" in section, f"{table}.{name}"


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)=\"?(https?:[^\s\">]+)", page.read_text()
        )
        assert not [one for one in loaded if "canonical" not in one], page


def test_a_reader_finds_a_word_by_searching(address: str, open_page: OpenPage) -> None:
    opened = open_page(f"{address}/index.html")
    opened.page.locator("input[name=query]").click()
    opened.page.keyboard.type("text distractor")
    found = opened.page.locator(".md-search-result__item")
    found.first.wait_for()
    assert "distractor" in " ".join(found.all_text_contents()).lower()
    opened.check()


@pytest.mark.parametrize("page", ["index.html", "method/", "reference/command-line/", "reference/tables/"])
def test_pages_fit_a_telephone(address: str, open_page: OpenPage, page: str) -> None:
    opened = open_page(f"{address}/{page}", width=NARROW)
    check_fits(opened.page)
    opened.check()
