"""The page of ``facetmine browse``: its server against strangers, and itself in a real browser, with hostile data."""

import http.client
import io
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
from browser import NARROW, SCHEMES, WIDE, OpenPage, check_accessible, check_fits
from commands import FACETMINE
from PIL import Image
from playwright.sync_api import expect
from viewed import served, triplet, write_dataset

from viewer import judgements
from viewer.server import Server

pytestmark = pytest.mark.xdist_group("browser")

HOSTILE = {
    "markup": "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script> dog </mark>",
    "right to left": "كلب بني يركض على \u202eالشاطئ dog",
    "long": "a brown dog " + "and another " * 833,
    "quotes": "a 'brown' \"dog\" & <b>co</b> &amp; javascript:alert(1) \\ \u0000 \u2028",
}
SECRET = b"not for anybody"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A dataset with such captions and with image ids that would leave a folder, pictures, and a secret beside them."""
    folder = tmp_path_factory.mktemp("browse")
    (folder / "pictures").mkdir()
    (folder / "secret.txt").write_bytes(SECRET)
    (folder / "secret.jpg").write_bytes(SECRET)
    for name, color in (("red", "red"), ("blue", "blue")):
        Image.new("RGB", (300, 200), color).save(folder / f"pictures/{name}.png")
    (folder / "pictures/broken.png").write_bytes(b"<svg onload=alert(1)>")
    rows = [
        triplet(number, target_caption=text, condition=text[:300], subject="<i>dog</i>", reference_id="../secret.txt",
                target_id="red.png", text_distractor_id="broken.png", image_distractor_id="blue.png")
        for number, text in enumerate(HOSTILE.values())
    ]  # fmt: skip
    bare = {"kind": "relation", "text_distractor_id": None, "text_distractor_caption": None}
    rows += [triplet(number, **bare) for number in range(4, 40)]
    out = write_dataset(folder / "out", rows)
    with served(out, [folder / "pictures"], of_each=3) as server:
        yield server, out


def answer(
    server: Server, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> http.client.HTTPResponse:
    """What a stranger's program gets; the body is read already."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    got = connection.getresponse()
    got.content = got.read()  # type: ignore[attr-defined]
    connection.close()
    return got


def test_requests_without_the_token_are_refused(hostile: tuple[Server, Path]) -> None:
    server, _ = hostile
    assert server.server_address[0] == "127.0.0.1"
    assert len(server.token) >= 32
    good = f"/{server.token}/"
    assert answer(server, good).status == 200
    wrong = server.token[:-1] + ("A" if server.token[-1] != "A" else "B")
    for path in ("/", "//", "/api/about", f"/{wrong}/", f"/{server.token}", f"/{server.token.lower()}/", "/%2e/",
                 f"/{wrong}/../{server.token}/", f"/?{server.token}/", f"/{quote('é')}/api/about"):  # fmt: skip
        got = answer(server, path)
        assert (got.status, b"dog" in got.content) == (403, False), path  # type: ignore[attr-defined]
        assert answer(server, path, "POST", b"{}", Content_Type="application/json").status == 403, path


def test_requests_from_other_pages_are_refused(hostile: tuple[Server, Path]) -> None:
    server, out = hostile
    good = f"/{server.token}/api/about"
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1", f"127.0.0.1.evil.example:{server.port}"):
        assert answer(server, good, Host=host).status == 403
    judge = f"/{server.token}/api/judge"
    said = json.dumps({"id": f"{0:032x}", "verdict": "true"}).encode()
    evil = {"Content_Type": "application/json", "Origin": "http://evil.example"}
    assert answer(server, judge, "POST", said, **evil).status == 403
    assert answer(server, judge, "POST", said, Content_Type="text/plain").status == 403
    assert answer(server, judge, "POST", said[:-1], Content_Type="application/json").status == 400
    assert answer(server, judge, "POST", b" " * (1 << 17), Content_Type="application/json").status == 413
    assert not (out / "judgements").exists()
    policy = answer(server, f"/{server.token}/").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy


def test_only_pictures_of_the_sources_are_served(hostile: tuple[Server, Path]) -> None:
    server, out = hostile
    ids = ["../secret.txt", "../secret", "../secret.jpg", "..", "/etc/passwd", str(out.parent / "secret.jpg"), "",
           "red.png/../../secret.jpg", "red\0", "%2e%2e/secret.txt", "x" * 5000]  # fmt: skip
    for image in ids:
        got = answer(server, f"/{server.token}/image?{urlencode({'id': image})}")
        assert got.status == 404, image
        assert SECRET not in got.content  # type: ignore[attr-defined]
    for path in ("../secret.txt", "%2e%2e/secret.txt", "static/viewer.js", "viewer.py", "api/__class__", "api/"):
        assert answer(server, f"/{server.token}/{path}").status == 404, path
    got = answer(server, f"/{server.token}/image?id=red.png")
    assert got.headers["Content-Type"] == "image/jpeg"
    with Image.open(io.BytesIO(got.content)) as picture:  # type: ignore[attr-defined]
        assert (picture.format, picture.size) == ("JPEG", (300, 200))
    broken = answer(server, f"/{server.token}/image?id=broken.png")
    assert broken.headers["Content-Type"] == "image/svg+xml"
    assert b"onload" not in broken.content  # type: ignore[attr-defined]


def test_questions_that_make_no_sense_get_a_line(hostile: tuple[Server, Path]) -> None:
    server, _ = hostile
    for path in ("triplets?first=x", "triplets?seed=1e3", "triplets?least_prior=much", "names?column=kind", "why?id=zz",
                 "triplet?id=", "audit?width=2", "triplets?text=%ff"):  # fmt: skip
        got = answer(server, f"/{server.token}/api/{path}")
        assert got.status == 400, path
        assert 0 < len(got.content) < 300  # type: ignore[attr-defined]
        assert b"Traceback" not in got.content  # type: ignore[attr-defined]


@pytest.mark.slow
def test_hostile_data_is_text_in_the_browser(hostile: tuple[Server, Path], open_page: OpenPage) -> None:
    server, _ = hostile
    opened = open_page(server.address)
    page = opened.page
    page.wait_for_selector("article")
    shown = page.locator("article .target .caption").all_text_contents()[: len(HOSTILE)]
    assert shown == list(HOSTILE.values())
    assert page.locator("article script, article i, article b, .caption img, .title img").count() == 0
    assert page.title() == "Triplets – facetmine"
    # Pictures of the sources only: the id that leaves the folder has none.
    assert page.locator("article").first.locator(".reference img").count() == 0
    picture = page.locator("article").first.locator(".target img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 300
    arabic = page.locator("article").nth(1).locator(".target .caption")
    assert arabic.evaluate("element => getComputedStyle(element).direction") == "rtl"
    page.locator("article .open").first.click()
    page.wait_for_selector("#columns dd")
    assert HOSTILE["markup"] in page.locator("#columns").text_content()
    assert page.locator("#columns img, #columns script, #why img, #why script").count() == 0
    assert page.title() == "Triplets – facetmine"
    check_fits(page)
    opened.check()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_is_readable_wide_and_narrow(hostile: tuple[Server, Path], open_page: OpenPage, scheme: str) -> None:
    server, _ = hostile
    opened = open_page(server.address, scheme=scheme)
    page = opened.page
    for view, ready in (("browse", "article"), ("judge", "article"), ("figures", "#audit > *")):
        page.evaluate(f"location.hash = '{view}'")
        page.wait_for_selector(f"#{view} {ready}" if view != "figures" else ready)
        for width in (WIDE, NARROW):
            page.set_viewport_size({"width": width, "height": 900})
            check_fits(page)
            if view == "browse":
                page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            check_accessible(page)
    opened.check()


@pytest.mark.slow
def test_browsing_with_the_keyboard_alone(hostile: tuple[Server, Path], open_page: OpenPage) -> None:
    server, _ = hostile
    opened = open_page(server.address)
    page = opened.page
    page.wait_for_selector("article")
    found = page.locator("#found")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "results"
    page.keyboard.press("ArrowRight")
    expect(found).to_have_text("25–40 of 40")
    page.keyboard.press("ArrowLeft")
    expect(found).to_have_text("1–24 of 40")
    page.keyboard.press("/")
    page.keyboard.type('"another and"')
    expect(found).to_have_text("1–1 of 1")
    assert "text=" in page.url
    page.locator("article .open").focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")
    assert page.evaluate("document.activeElement.className").endswith("open")
    page.go_back()
    expect(found).to_have_text("1–24 of 40")
    page.get_by_label("relation").check()
    expect(found).to_have_text("1–24 of 36")
    # The drawer of this dataset has no facts to explain with; the console tells of nothing else.
    assert not opened.strayed


@pytest.mark.slow
def test_judging_with_the_keyboard_is_kept_and_taken_back(tmp_path: Path, open_page: OpenPage) -> None:
    rows = [triplet(number, kind=("relation", "change_attribute")[number % 2]) for number in range(8)]
    out = write_dataset(tmp_path / "out", rows)
    with served(out, of_each=2) as server:
        opened = open_page(f"{server.address}#judge")
        page = opened.page

        def done(number: int) -> None:
            expect(page.locator("#done-label")).to_contain_text(f"{number} of 4")
            expect(page.locator("#case > *").first).to_be_visible()

        def said() -> list[tuple[str, str | None]]:
            return [(row["verdict"], row["fault"]) for row in judgements.read(str(out)).to_pylist()]

        done(0)
        for keys, number in (("t", 1), ("f3", 2), ("z", 1), ("f4", 2), ("u", 3)):
            for key in keys:
                page.keyboard.press(key)
            done(number)
        assert said() == [("true", None), ("false", "text_distractor"), ("unsure", None)]
        page.keyboard.press("f")
        page.wait_for_selector("#faults")
        check_accessible(page)
        page.keyboard.press("Escape")
        page.wait_for_selector("#faults", state="hidden")
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector("#case .said")
        assert page.locator("#case .said").text_content() == "You said: unsure"
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("#case .said", state="detached")
        page.keyboard.press("f")
        page.get_by_role("button", name="6 Subject").click()
        page.wait_for_selector(".finished")
        check_accessible(page)
        assert said()[-1] == ("false", "subject")
        page.get_by_role("link", name="What the judgements say").click()
        page.wait_for_selector("#audit table")
        assert "4 triplets judged by ann (4)" in page.locator("#audit").text_content()
        check_accessible(page)
        check_fits(page)
        opened.check()
    with served(out, of_each=2) as server:  # another sitting goes on where this one ended
        opened = open_page(f"{server.address}#judge")
        opened.page.wait_for_selector(".finished")
    told = judgements.read(str(out))
    assert {row["judge"] for row in told.to_pylist()} == {"ann"}


@pytest.mark.slow
def test_the_command_prints_the_address_and_ends_with_ctrl_c(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    out = write_dataset(tmp_path / "out", [triplet(0)])
    process = start(FACETMINE, "browse", out, "--no-open", PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    address = ""
    while "http" not in address:
        address = process.stdout.readline()
        assert address, "it ended before it printed an address"
    parts = urlsplit(address.strip())
    assert parts.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=30)
    connection.request("GET", f"{parts.path}api/triplets")
    assert json.loads(connection.getresponse().read())["total"] == 1
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in printed
