"""The page stands alone, says what was found, and never lets a name become markup."""

import base64
import dataclasses
import io
import json
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.comparison.synthetic import blobs, comparison, curve, realistic

from immiscible_diffusion.comparison import (
    Comparison,
    comparison_from_json,
    pairing_names,
    write_joint_report,
    write_report,
)

VOID = {"meta", "img", "source", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects the tags of a page with their attributes, its text, and unbalanced tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open and self.open[-1] in ("script", "style") else self.words).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(path: Path) -> Page:
    page = Page(path.read_text(encoding="utf-8"))
    assert not page.open
    return page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    both = realistic()
    return write_report(both, blobs(pairing_names(both)), tmp_path_factory.mktemp("report") / "new").parent


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return read(folder / "report.html")


def test_files_beside_the_page(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    files = {"report.html", "results.json", "results.csv", "curves.png", "speedup.png", "samples.png"}
    assert names == files
    assert comparison_from_json((folder / "results.json").read_text()) == realistic()
    for path in folder.glob("*.png"):
        Image.open(path).verify()


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    for _, attributes in page.tags:
        for name in ("src", "srcset", "href", "poster", "data", "action"):
            value = attributes.get(name, "data:")
            assert value.startswith(("data:", "#")), value[:80]
    assert not page.all("link")
    assert all(script["type"] == "application/json" for script in page.all("script"))
    assert not any("@import" in script or "url(" in script for script in page.scripts)
    assert "default-src 'none'" in next(m["content"] for m in page.all("meta") if "http-equiv" in m)


def test_pictures_are_embedded_described_and_have_dark_versions(page: Page) -> None:
    images, sources = page.all("img"), page.all("source")
    assert len(images) == len(sources) == 3
    for uri in [i["src"] for i in images] + [s["srcset"] for s in sources]:
        kind, content = uri.split(",", 1)
        assert kind == "data:image/png;base64"
        Image.open(io.BytesIO(base64.b64decode(content))).verify()
    assert all(len(image["alt"]) > 40 for image in images)
    assert all("prefers-color-scheme: dark" in source["media"] for source in sources)


def test_raw_results_are_embedded_and_downloadable(folder: Path, page: Page) -> None:
    embedded = next(script for script in page.scripts if script.startswith("{"))
    assert comparison_from_json(embedded) == realistic()
    links = [a for a in page.all("a") if "download" in a]
    assert [link["download"] for link in links] == ["results.json", "results.csv"]
    for link in links:
        assert base64.b64decode(link["href"].split(",", 1)[1]) == (folder / link["download"]).read_bytes()


def test_structure_can_be_read_by_ear(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert len(page.all("table")) == len(page.all("caption")) == 5
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    assert page.all("html")[0]["lang"] == "en"


def test_the_page_says_what_happened(page: Page) -> None:
    for words in (
        "paired with a noise",
        "nearest:4 helps; assigned harms. Speed-up in steps to independent's best distance",
        "assigned harms",
        "helps at 5",
        "not FID",
        "random convolutions",
        "with 3 seeds they cover the true median at most 75% of the time",
        "1 in 8",
        "judges 6 differences",
        "optimiser.betas",
        "2 CPU cores",
    ):
        assert words in page.text.replace("\u00a0", " "), words


def test_fid_is_called_fid(tmp_path: Path) -> None:
    fid = dataclasses.replace(small(), distance_name="FID", feature_network="inception-v3")
    assert "not FID" not in read(write_report(fid, {}, tmp_path)).text


def small(name: str = "independent", **changes: Any) -> Comparison:
    runs = [curve(name, 0, [9, 2], [1, 2]), curve("nearest", 0, [5, 1], [1, 2])]
    return dataclasses.replace(comparison(*runs, baseline=name), **changes)


def test_hostile_names_stay_words(tmp_path: Path) -> None:
    bad = "</script><script>alert(1)</script><img src=https://example.org/x onerror=alert(1)>\"'"
    hostile = small(
        bad,
        experiment=bad,
        feature_network=bad,
        distance_name=bad,
        settings={bad: {bad: [bad]}},
        environment={bad: bad},
    )
    page = read(write_report(hostile, blobs((bad, "nearest")), tmp_path))
    test_nothing_is_loaded_from_anywhere(page)
    assert len(page.all("img")) == 3 and len(page.all("script")) == 1
    assert bad in page.text
    embedded = next(script for script in page.scripts if script.startswith("{"))
    assert json.loads(embedded)["experiment"] == bad


def test_without_samples_there_is_no_picture_of_them(tmp_path: Path) -> None:
    page = read(write_report(small(), {}, tmp_path))
    assert not (tmp_path / "samples.png").exists()
    assert "Generated images" not in page.text and len(page.all("img")) == 2
    assert "One seed says nothing about seed noise" in page.text


def test_one_section_is_the_simple_case_of_several(tmp_path: Path) -> None:
    first = write_report(small(), {}, tmp_path / "a", seed=5).read_bytes()
    assert first == write_joint_report([(small(), {})], tmp_path / "b", seed=5).read_bytes()


def test_several_sections_keep_apart(tmp_path: Path) -> None:
    sections = [(small(experiment=name), {}) for name in ("Digits, DDIM", "digits ddim", "¿?")]
    page = read(write_joint_report(sections, tmp_path))
    for kind in ("json", "csv"):
        names = {path.name.removesuffix(f"-results.{kind}") for path in tmp_path.glob(f"*.{kind}")}
        assert names == {"digits-ddim", "digits-ddim-2", "experiment"}
    anchors = [a["href"] for a in page.all("a") if a["href"].startswith("#")]
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(anchors) == 3 and len(identities) == len(set(identities))
    assert {anchor[1:] for anchor in anchors} <= set(identities)


def test_samples_that_do_not_fit_leave_no_report(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="samples has the pairing 'other'"):
        write_report(small(), blobs(("other",)), tmp_path / "none")
    with pytest.raises(ValueError, match="sections is empty"):
        write_joint_report([], tmp_path / "none")
    assert not (tmp_path / "none").exists()
