"""One self-contained page that says what a comparison found, with its pictures and raw results beside it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from immiscible_diffusion.atomic_files import write_bytes
from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.comparison.curves import (
    Comparison,
    comparison_to_csv,
    comparison_to_json,
    pairing_names,
)
from immiscible_diffusion.comparison.plots import check_samples, plot_curves, plot_samples, plot_speed_ups
from immiscible_diffusion.comparison.statistics import Summary, bootstrap_coverage_limit, summarize
from immiscible_diffusion.comparison.table import (
    Table,
    evaluations_table,
    results_table,
    seeds_table,
)
from immiscible_diffusion.comparison.verdicts import Verdict, headline, judge
from immiscible_diffusion.figures import DARK, LIGHT, styles_for
from immiscible_diffusion.pages import data_uri, flattened, render

Section = tuple[Comparison, Mapping[str, Tensor]]


@dataclass(frozen=True)
class _Picture:
    """One picture for light and dark pages, as PNG bytes; `alt` tells what it shows."""

    light: bytes
    dark: bytes
    alt: str

    @property
    def light_uri(self) -> str:
        return data_uri("image/png", self.light)

    @property
    def dark_uri(self) -> str:
        return data_uri("image/png", self.dark)


@dataclass(frozen=True)
class _View:
    """All that the template shows of one comparison; `pictures` are curves, speedup and maybe samples."""

    anchor: str
    comparison: Comparison
    headline: str
    verdicts: tuple[Verdict, ...]
    colours: dict[str, tuple[str, str]]
    pictures: dict[str, _Picture]
    tables: dict[str, Table]
    last_step: str
    fewest_seeds: int
    coverage_limit: str
    differences: int
    results_name: str  # its ending left out
    results_text: str  # JSON
    results_csv: str

    @property
    def results_uri(self) -> str:
        return data_uri("application/json", self.results_text.encode())

    @property
    def csv_uri(self) -> str:
        return data_uri("text/csv", self.results_csv.encode())

    @property
    def results(self) -> Any:
        return json.loads(self.results_text)


def write_report(comparison: Comparison, samples: Mapping[str, Tensor], folder: Path, seed: int = 0) -> Path:
    """Write report.html, results.json, results.csv, curves.png, speedup.png and samples.png into `folder`.

    `samples`: pairing to uint8 [N, C, H, W], after the last step, image for image from the same noise and
    unselected, as the page says of them; leave empty to show none.
    `seed` drives the bootstrap, as `summarize(comparison, numpy.random.default_rng(seed))` does elsewhere.
    Returns the path of report.html. Raises ValueError for samples that do not fit the comparison.
    """
    return write_joint_report([(comparison, samples)], folder, seed)


def write_joint_report(sections: Sequence[Section], folder: Path, seed: int = 0) -> Path:
    """Write several comparisons as sections of one report.html; see `write_report`, which is the case of one.

    With more than one section every other file is named after its experiment, as in flow-curves.png.
    Raises ValueError for no section at all or samples that do not fit.
    """
    if not sections:
        raise ValueError("sections is empty: give at least one (comparison, samples)")
    prefixes = _prefixes([comparison.experiment for comparison, _ in sections])
    views = [_view(section, prefix, seed) for section, prefix in zip(sections, prefixes, strict=True)]
    page = _page(views)
    folder.mkdir(parents=True, exist_ok=True)
    for view, prefix in zip(views, prefixes, strict=True):
        write_bytes(folder / f"{view.results_name}.json", view.results_text.encode())
        write_bytes(folder / f"{view.results_name}.csv", view.results_csv.encode())
        for name, picture in view.pictures.items():
            write_bytes(folder / f"{prefix}{name}.png", picture.light)
    # Last, so that a page that exists is never ahead of the files beside it.
    write_bytes(folder / "report.html", page.encode())
    return folder / "report.html"


def report_page(comparison: Comparison, samples: Mapping[str, Tensor], seed: int = 0) -> str:
    """The text of the report.html that `write_report` writes."""
    return _page([_view((comparison, samples), "", seed)])


def _page(views: Sequence[_View]) -> str:
    return render("comparison/report.html", views=views)


def _view(section: Section, prefix: str, seed: int) -> _View:
    comparison, samples = section
    summaries = summarize(comparison, np.random.default_rng(seed))
    spoken = judge(comparison, summaries)
    names = pairing_names(comparison)
    light, dark = styles_for(names, LIGHT), styles_for(names, DARK)
    results = results_table(comparison, summaries)
    fewest = min(len(summary.seeds) for summary in summaries)
    return _View(
        anchor=f"{prefix}results",
        comparison=comparison,
        headline=headline(spoken),
        verdicts=spoken,
        colours={name: (light[name].colour, dark[name].colour) for name in light},
        pictures=_pictures(comparison, summaries, samples),
        tables={
            # The verdicts stand above as the answer; below the table they would be a repetition.
            "results": Table(results.caption, results.headers, results.rows),
            "evaluations": evaluations_table(comparison, summaries),
            "seeds": seeds_table(comparison),
            "settings": Table(
                "Every setting of the runs", ("Setting", "Value"), flattened(comparison.settings)
            ),
            "environment": Table("Where it ran", ("What", "Value"), tuple(comparison.environment.items())),
        },
        last_step=say.steps(summaries[0].last_step),
        fewest_seeds=fewest,
        coverage_limit=say.percent(bootstrap_coverage_limit(fewest)),
        differences=(len(summaries) - 1) * len(comparison.evaluations),
        results_name=f"{prefix}results",
        results_text=comparison_to_json(comparison),
        results_csv=comparison_to_csv(comparison),
    )


def _pictures(
    comparison: Comparison, summaries: tuple[Summary, ...], samples: Mapping[str, Tensor]
) -> dict[str, _Picture]:
    counts = say.listed([str(n) for n in comparison.evaluations])
    names = say.listed(list(pairing_names(comparison)))
    pictures = {
        "curves": _Picture(
            plot_curves(comparison, summaries, LIGHT),
            plot_curves(comparison, summaries, DARK),
            f"Line chart: {comparison.distance_name} against training steps for {names}, at {counts} "
            "evaluations per image. The last values are in the table below.",
        ),
        "speedup": _Picture(
            plot_speed_ups(comparison, summaries, LIGHT),
            plot_speed_ups(comparison, summaries, DARK),
            f"Dot chart: speed-up to {comparison.baseline}'s best distance in steps and in wall time, with "
            "intervals. Its values are in the table above.",
        ),
    }
    if samples:
        check_samples(comparison, samples)
        count = next(iter(samples.values())).shape[0]
        pictures["samples"] = _Picture(
            plot_samples(comparison, summaries, samples, LIGHT),
            plot_samples(comparison, summaries, samples, DARK),
            f"Grids of {min(count, 64)} generated images for {say.listed(list(samples))}, from one noise.",
        )
    return pictures


def _prefixes(experiments: list[str]) -> list[str]:
    """File name prefixes from experiment names: none for a single experiment, distinct ones for several."""
    if len(experiments) == 1:
        return [""]
    prefixes: list[str] = []
    for experiment in experiments:
        plain = re.sub(r"[^a-z0-9]+", "-", experiment.lower()).strip("-")[:60] or "experiment"
        number = 2
        prefix = f"{plain}-"
        while prefix in prefixes:
            prefix, number = f"{plain}-{number}-", number + 1
        prefixes.append(prefix)
    return prefixes
