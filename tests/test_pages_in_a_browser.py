"""report.html and gallery.html as a browser shows them: offline, light, dark, printed, by keyboard."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.browser import chromium, contrast
from tests.comparison.synthetic import blobs, realistic

from immiscible_diffusion.analysis.finding import Finding, write_finding
from immiscible_diffusion.analysis.gallery import write_gallery
from immiscible_diffusion.comparison import pairing_names, write_report

SECONDS = 2.0  # to load in


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module", params=["report.html", "gallery.html"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    if request.param == "report.html":
        both = realistic()  # three pairings, three seeds
        return write_report(both, blobs(pairing_names(both)), folder)
    picture = io.BytesIO()
    Image.new("RGB", (300, 200), "teal").save(picture, "PNG")
    values = {"mean": 1.5, "rows": [{"k": 4, "change": -3.1}, {"k": 8, "change": -4.0}]}
    held = Finding("distance", "How far", "Nearer by 4 %.", values, {"seed": 0}, {"": picture.getvalue()})
    write_finding(held, folder)
    return write_gallery([held], {}, "digits", folder)


def test_it_loads_quickly_from_one_file_and_asks_for_nothing(browser: Any, file: Path) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri(), wait_until="load")
    took = page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart") / 1000
    assert took < SECONDS
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_of_the_paper_in_light_and_dark(browser: Any, file: Path, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(file.as_uri())
    bright = sum(
        map(int, page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")[:3])
    )
    assert (bright > 600) == (scheme == "light")
    for selector in ("h1", "p", "figcaption", "footer p"):
        assert contrast(page, selector) >= 4.5, selector
    page.close()


def test_the_keyboard_reaches_all_and_shows_where_it_is(browser: Any, file: Path) -> None:
    page = browser.new_page()
    page.goto(file.as_uri())
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        tag, *outline = page.evaluate(
            "(style => [document.activeElement.tagName, style.outlineStyle, style.outlineWidth])"
            "(getComputedStyle(document.activeElement))"
        )
        if tag == "BODY":
            break
        assert outline == ["solid", "3px"], tag  # "none" has a width too
        reached.add(tag)
    assert {"DIV", "A"} <= reached  # tables and pictures that scroll, downloads
    page.close()


def test_a_screen_reader_finds_landmarks_headings_tables_and_pictures(browser: Any, file: Path) -> None:
    page = browser.new_page()
    page.goto(file.as_uri())
    assert page.get_by_role("main").count() == 1 and page.get_by_role("banner").count() == 1
    assert page.get_by_role("heading", level=1).count() == 1
    # Folded away, a table is nowhere; the page says so by the summary above it.
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.get_by_role("table").count() >= 2
    assert page.get_by_role("columnheader").count() >= 4 and page.get_by_role("rowheader").count() >= 2
    assert page.evaluate("[...document.images].every(image => image.alt.length > 10)")
    page.close()


def test_numbers_can_be_selected_and_downloaded(browser: Any, file: Path) -> None:
    page = browser.new_page()
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    cell = page.locator("td").first
    cell.dblclick()
    assert page.evaluate("getSelection().toString()").strip() in cell.inner_text()
    with page.expect_download() as started:
        page.get_by_role("link", name="Download").first.click()
    held = json.loads(Path(started.value.path()).read_text())
    if "curves" in held:
        with page.expect_download() as second:
            page.get_by_role("link", name="Download results.csv").click()
        numbers = held["curves"], held["evaluations"]
        rows = sum(len(curve["points"]) for curve in numbers[0]) * len(numbers[1])
        assert len(Path(second.value.path()).read_text().splitlines()) == 1 + rows
    assert {"curves", "values"} & set(held)
    assert page.evaluate("JSON.parse(document.querySelector('script[type$=json]').textContent)") == held
    page.close()


def test_it_prints_with_its_folded_numbers(browser: Any, file: Path) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(file.as_uri())
    page.emulate_media(media="print")
    white = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert white == "rgb(255, 255, 255)"  # paper, whatever the screen was
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
    assert page.locator("td").first.bounding_box()["height"] > 5
    assert page.pdf()[:5] == b"%PDF-"
    page.close()
