"""Compare: the report of a finished comparison, inside the page, and the curves of single runs."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from immiscible_diffusion.analysis.run_curves import (
    Measured,
    RunCurve,
    plot_run_curves,
    read_run_curve,
    run_curves_csv,
)
from immiscible_diffusion.comparison import report_page
from immiscible_diffusion.live_page.choosing import Chooser, all_image_runs, chooser, several_chooser
from immiscible_diffusion.live_page.found_runs import BETWEEN, VANILLA, Found, Library, chosen
from immiscible_diffusion.live_page.inputs import answered
from immiscible_diffusion.live_page.opened_runs import comparison_of
from immiscible_diffusion.live_page.shown import figure, note, page_inside
from immiscible_diffusion.pages import data_uri

MOST_RUNS = 7  # that have styles of their own
HOW = (
    "### A comparison\n"
    "Curves, verdicts, speed-ups, samples and raw numbers of a finished comparison: several pairings "
    "from the same weights, the same images and the same evaluation noise. More come from "
    "`immiscible compare EXPERIMENT`."
)
HOW_SINGLE = (
    "### Single runs\nWhat runs wrote down while they trained, and what `immiscible evaluate` measured "
    "afterwards. Speed-ups, intervals and verdicts need a comparison: one run against another cannot tell "
    "pairing from seed noise."
)
UNMEASURED = (
    "<p>No distance was measured while these runs trained: "
    "<code>immiscible train … --evaluate-every N</code> does that, <code>immiscible evaluate RUN</code> "
    "measures a finished one, and runs of a comparison have theirs in its report. Training loss is no "
    "evidence, for every pairing lowers it.</p>"
)


def compare_tab(library: Library) -> list[Chooser]:
    """Build the tab."""
    gr.Markdown(HOW)
    results = chooser(library, "Comparison", comparisons)
    button = gr.Button("Show the report", variant="primary")
    shown = gr.HTML(label="Report")
    gr.Markdown(HOW_SINGLE)
    runs = several_chooser(library, f"Runs ({MOST_RUNS} at most)", all_image_runs, MOST_RUNS)
    draw = gr.Button("Show the curves", variant="primary")
    curves = gr.HTML(label="Curves")

    @answered
    def compare(name: Any) -> str:
        place = chosen("comparison", name, library.found().comparisons)
        return page_inside(report_page(*comparison_of(place)), f"Report of {name}")

    @answered
    def single(names: Any) -> str:
        return single_runs(library.found(), names)

    button.click(compare, [results.component], shown, api_name="compare")
    draw.click(single, [runs.component], curves, api_name="curves")
    return [results, runs]


def comparisons(found: Found) -> list[str]:
    """Names of the comparisons."""
    return list(found.comparisons)


def single_runs(found: Found, names: Any) -> str:
    """Draw what single runs wrote down, as HTML with a table and a CSV file."""
    if not isinstance(names, list) or not 1 <= len(names) <= MOST_RUNS:
        raise ValueError(f"choose 1 to {MOST_RUNS} runs")
    folders = {name: chosen("run", name, found.images | found.prompted) for name in names}
    curves = [read_run_curve(title, folders[name]) for name, title in _titles(folders).items()]
    said = "; ".join(f"{curve.title}: {_last(curve)}" for curve in curves)
    shown = "Distances to real images as far as they were measured, and the training loss."
    drawn = any(curve.measured for curve in curves)
    picture = figure(
        plot_run_curves(curves),
        f"Line charts against training steps. {said}",
        shown,
        size="" if drawn else "small",
    )
    measured = [one for curve in curves for one in (*curve.measured, *curve.evaluated)]
    warnings = dict.fromkeys(one.warning for one in measured if one.warning)
    notes = "".join(map(note, warnings)) if measured else UNMEASURED
    link = data_uri("text/csv", run_curves_csv(curves).encode())
    download = f'<p><a download="runs.csv" href="{link}">Download runs.csv</a></p>'
    return f"{picture}{_table(curves)}{notes}{download}"


def _titles(folders: dict[str, Path]) -> dict[str, str]:
    """Call runs by as little as tells them apart, the vanilla ones first."""
    names = sorted(folders, key=lambda name: name.split(BETWEEN)[1] != VANILLA)
    for first, last in ((1, 3), (0, 3), (0, 4)):
        titles = [", ".join(name.split(BETWEEN, 3)[first:last]) for name in names]
        if len(set(titles)) == len(titles):
            break
    return dict(zip(names, titles, strict=True))


def _last(curve: RunCurve) -> str:
    measured = (*curve.measured, *curve.evaluated)
    if measured:
        return f"{_words(measured[-1].distance)} at step {measured[-1].step:,} ({measured[-1].how})"
    step, loss = curve.losses[-1]
    return f"loss {loss:.4f} at step {step:,}"


def _table(curves: Sequence[RunCurve]) -> str:
    rows = [
        (curve.title, when, one.how, f"{one.step:,}", _words(one.distance))
        for curve in curves
        for when, one in [
            *_while_trained(curve),
            *(("evaluate", one) for one in curve.evaluated),
        ]
    ]
    if not rows:
        return ""
    heads = "".join(
        f'<th scope="col">{head}</th>' for head in ("Run", "When", "Measured", "Step", "Distance")
    )
    body = "".join(
        f'<tr><th scope="row">{escape(title)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for title, *cells in rows
    )
    caption = "Distances to real images, lower is better; only those measured in the same way compare"
    return f"<table><caption>{caption}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _while_trained(curve: RunCurve) -> list[tuple[str, Measured]]:
    said = []
    for way in dict.fromkeys(one.how for one in curve.measured):
        alike = [one for one in curve.measured if one.how == way]
        best = min(alike, key=lambda one: one.distance)
        said += [("last, while it trained", alike[-1]), ("best, while it trained", best)]
    return said


def _words(distance: float) -> str:
    return f"{distance:.4g}" if math.isfinite(distance) else "diverged"
