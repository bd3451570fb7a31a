"""The gallery: nothing twice, no failure costs another answer, one page that loads nothing."""

import base64
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from immiscible_diffusion.analysis import Finding, write_finding
from immiscible_diffusion.analysis.gallery import Analysis, answer, write_gallery
from immiscible_diffusion.analysis.gallery_questions import about_pairings, about_runs
from immiscible_diffusion.analysis.trained_runs import load_runs
from immiscible_diffusion.evaluation import feature_network


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (150, 75)).save(buffer, "PNG")
    return buffer.getvalue()


def found(question: str, **settings: object) -> Finding:
    return Finding(
        question=question,
        title=f"What of {question}?",
        sentence="It is 3 < 4 & so.",
        values={"one": {"two": 0.123456789}, "rows": [{"k": 1, "x": None}, {"k": 2, "y": [1.0, 2.5]}]},
        settings=settings,
        pictures={"": png(), "more-of-it": png()},
        warnings=("few <b>images</b>",),
    )


def counting(made: list[str], question: str, **settings: object) -> Callable[[], Finding]:
    def compute() -> Finding:
        made.append(question)
        return found(question, **settings)

    return compute


def test_findings_with_the_same_settings_are_taken_as_they_are(tmp_path: Path) -> None:
    made: list[str] = []
    # "a" says its settings itself; "b" does not say k.
    analyses = [
        Analysis("a", {"k": (1, 2)}, counting(made, "a", k=[1, 2], more=0)),
        Analysis("b", {"k": 3}, counting(made, "b", other=1)),
    ]
    answer(analyses, tmp_path, lambda text: None)
    said: list[str] = []
    again, failures = answer(analyses, tmp_path, said.append)
    assert made == ["a", "b"] and not failures and len(again) == 2
    assert said == [f"{question}: found in {tmp_path}" for question in "ab"]
    changed = [Analysis(one.question, {"k": 9}, one.compute) for one in analyses]
    answer(changed, tmp_path, lambda text: None)
    assert made == ["a", "b", "a", "b"]
    # One setting of two is another.
    answer([Analysis("a", {"k": (1, 2), "more": 1}, analyses[0].compute)], tmp_path, lambda text: None)
    assert made == ["a", "b", "a", "b", "a"]


def test_one_failure_leaves_the_others(tmp_path: Path) -> None:
    def fail() -> Finding:
        raise RuntimeError("no <room> left")

    write_finding(found("time"), tmp_path / "deeper")
    analyses = [Analysis("a", {}, fail), Analysis("b", {}, counting([], "b"))]
    findings, failures = answer(analyses, tmp_path, lambda text: None)
    assert [one.question for one in findings] == ["b", "time"]
    assert failures == {"a": "RuntimeError: no <room> left"}
    page = write_gallery(findings, failures, "Runs", tmp_path).read_text()
    assert 'href="#failed-a"' in page and "RuntimeError: no &lt;room&gt; left" in page
    assert 'id="b"' in page and 'id="time"' in page


class Page(HTMLParser):
    """Tags with their attributes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path) -> None:
    finding = found("a", data="digits")
    write_finding(finding, tmp_path)
    text = write_gallery([finding], {}, "Runs & more", tmp_path).read_text()
    page = Page(text)
    assert page.all("html")[0]["lang"] == "en"
    pictures = page.all("img")
    assert [str(one["src"])[:22] for one in pictures] == ["data:image/png;base64,"] * 2
    assert base64.b64decode(str(pictures[0]["src"])[22:]) == png()
    assert pictures[0]["alt"] == finding.sentence and finding.sentence in str(pictures[1]["alt"])
    assert pictures[0]["width"] == "96" and pictures[0]["height"] == "48"
    (link,) = [one for one in page.all("a") if "download" in one]
    kind, content = str(link["href"]).split(",", 1)
    assert base64.b64decode(content) == (tmp_path / "a.json").read_bytes()
    assert (kind, link["download"]) == ("data:application/json;base64", "a.json")
    embedded = re.search(r'<script type="application/json" id="a-json">(.*?)</script>', text, re.DOTALL)
    assert embedded and json.loads(embedded[1])["values"] == finding.values
    assert "few &lt;b&gt;images&lt;/b&gt;" in text and "0.1235" in text and "1, 2.5" in text
    for wanted in ("prefers-color-scheme: dark", "@media print", "default-src 'none'", 'tabindex="0"'):
        assert wanted in text
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", text)
    anchors = {one["id"] for _, one in page.tags if "id" in one}
    assert {str(one["href"])[1:] for one in page.all("a") if str(one["href"]).startswith("#")} <= anchors


def test_every_question_says_its_settings(run_folders: dict[str, Path]) -> None:
    """What a real analysis is asked with stands in its finding, so that the next gallery can take it."""
    runs = load_runs([run_folders["flow"]])
    asked = about_runs(runs, feature_network("pixels", runs.data), evaluations=3, count=70, origins=2, seed=1)
    assert [one.question for one in asked] == ["stability", "denoising"]
    for analysis in asked:
        settings = analysis.compute().settings
        assert {name: settings[name] for name in analysis.wanted} == analysis.wanted
    others = about_pairings(runs, seed=1)
    assert [one.question for one in others] == ["distance", "miscibility", "gaussianity", "choose-k"]
