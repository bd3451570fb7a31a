"""Many findings on one page; what is on disk already is not computed again."""

import dataclasses
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from immiscible_diffusion.analysis.finding import Finding, read_findings, write_finding
from immiscible_diffusion.atomic_files import write_text
from immiscible_diffusion.comparison import Table
from immiscible_diffusion.pages import data_uri, flattened, render

INCH = 96 / 150  # CSS pixels for one of a figure's


@dataclass(frozen=True)
class Analysis:
    """One question of a gallery. wanted: settings that a finding on disk must have to be taken instead."""

    question: str
    wanted: Mapping[str, Any]
    compute: Callable[[], Finding]


@dataclass(frozen=True)
class _Picture:
    uri: str
    width: int
    height: int
    caption: str
    alt: str


@dataclass(frozen=True)
class _View:
    anchor: str
    finding: Finding
    pictures: tuple[_Picture, ...]
    tables: tuple[Table, ...]
    settings: Table
    file: str
    text: str

    @property
    def record(self) -> Any:
        return json.loads(self.text)

    @property
    def uri(self) -> str:
        return data_uri("application/json", self.text.encode())


def answer(
    analyses: Sequence[Analysis], folder: Path, report: Callable[[str], None] = print
) -> tuple[tuple[Finding, ...], dict[str, str]]:
    """Answer every question, from the findings in `folder` where they were asked the same way.

    Each finding is on disk once it is made, and one that fails leaves the others alone. Findings of other
    questions in `folder` come last. Returns the findings and, by question, what went wrong.
    """
    kept = {one.question: one for one in read_findings(folder)} if folder.is_dir() else {}
    found: dict[str, Finding] = {}
    failures: dict[str, str] = {}
    for analysis in analyses:
        wanted = json.loads(json.dumps(analysis.wanted))
        before = kept.pop(analysis.question, None)
        if before is not None and _answers(before, wanted):
            report(f"{analysis.question}: found in {folder}")
            found[analysis.question] = before
            continue
        started = time.perf_counter()
        try:
            finding = analysis.compute()
            if not _answers(finding, wanted):
                finding = dataclasses.replace(finding, settings=finding.settings | {"asked": wanted})
            write_finding(finding, folder)
        except Exception as error:  # one question's failure must not cost the others their answers
            failures[analysis.question] = f"{type(error).__name__}: {error}"
            report(f"{analysis.question}: failed, {failures[analysis.question]}")
        else:
            found[analysis.question] = finding
            report(f"{analysis.question}: {finding.sentence} ({time.perf_counter() - started:.0f} s)")
    return (*found.values(), *kept.values()), failures


def write_gallery(findings: Sequence[Finding], failures: Mapping[str, str], title: str, folder: Path) -> Path:
    """Write gallery.html into `folder`, which holds the findings: one file that needs no network.

    Returns its path.
    """
    views = [_view(one, folder) for one in findings]
    page = render("analysis/gallery.html", title=title, views=views, failures=failures)
    write_text(folder / "gallery.html", page)
    return folder / "gallery.html"


def _answers(finding: Finding, wanted: dict[str, Any]) -> bool:
    """Whether a finding was asked for so: by its own settings, or as an earlier gallery put it."""
    settings = json.loads(json.dumps(finding.settings))
    own = all(name in settings and settings[name] == value for name, value in wanted.items())
    return own or settings.get("asked") == wanted


def _view(finding: Finding, folder: Path) -> _View:
    file = f"{finding.question}.json"
    return _View(
        anchor=finding.question,
        finding=finding,
        pictures=tuple(_picture(finding, name, png) for name, png in finding.pictures.items()),
        tables=_tables(finding.values),
        settings=Table("Settings", ("Setting", "Value"), flattened(finding.settings)),
        file=file,
        # As it was written: it says where its numbers were computed.
        text=min(folder.rglob(file)).read_text(encoding="utf-8"),
    )


def _picture(finding: Finding, name: str, png: bytes) -> _Picture:
    with Image.open(io.BytesIO(png)) as opened:
        width, height = (round(side * INCH) for side in opened.size)
    words = name.replace("-", " ")
    return _Picture(
        uri=data_uri("image/png", png),
        width=width,
        height=height,
        caption=f"{finding.title} ({words})" if name else finding.title,
        alt=f"Picture of {words}. {finding.sentence}" if name else finding.sentence,
    )


def _tables(values: dict[str, Any], above: str = "") -> tuple[Table, ...]:
    """Numbers as tables: one of all plain values, and one for every list of records."""
    plain: dict[str, Any] = {}
    tables: list[Table] = []
    _sort_out(values, above, plain, tables)
    rows = tuple((name, _cell(value)) for name, value in plain.items())
    return (Table("Numbers, four figures", ("Number", "Value"), rows), *tables) if rows else tuple(tables)


def _sort_out(values: dict[str, Any], above: str, plain: dict[str, Any], tables: list[Table]) -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            _sort_out(value, f"{above}{name}, ", plain, tables)
        elif isinstance(value, list) and value and all(isinstance(record, dict) for record in value):
            headers = tuple(dict.fromkeys(key for record in value for key in record))
            rows = tuple(tuple(_cell(record.get(key)) for key in headers) for record in value)
            tables.append(Table(f"{above}{name}".replace("_", " "), headers, rows))
        else:
            plain[f"{above}{name}".replace("_", " ")] = value


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, list):
        return ", ".join(f"({_cell(one)})" if isinstance(one, list) else _cell(one) for one in value)
    return "" if value is None else str(value)
