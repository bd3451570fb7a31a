"""What single runs wrote down while they trained, and what `evaluate` measured of them afterwards."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from matplotlib.lines import Line2D

from immiscible_diffusion.figures import (
    FONT_SIZE,
    LIGHT,
    dress,
    legend,
    line,
    literal,
    new_figure,
    styles_for,
    to_png,
)
from immiscible_diffusion.runs.folder import read_evaluation
from immiscible_diffusion.runs.metrics import read_records


@dataclass(frozen=True)
class Measured:
    """A distance to real images, lower is better. Only those of equal `how` compare."""

    step: int
    distance: float  # inf where the run diverged
    how: str
    warning: str = ""  # why it needs care


@dataclass(frozen=True)
class RunCurve:
    """One run in numbers, in rising steps."""

    title: str
    losses: tuple[tuple[int, float], ...]
    measured: tuple[Measured, ...]  # while it trained: `--evaluate-every`
    evaluated: tuple[Measured, ...]  # afterwards: `immiscible evaluate`


def read_run_curve(title: str, folder: Path) -> RunCurve:
    """Read a run's metrics.jsonl and evaluation.json, as far as it has them.

    Raises ValueError where there is neither a loss nor a distance, or evaluation.json is damaged.
    """
    records = read_records(folder / "metrics.jsonl")
    losses = tuple((one["step"], one["loss"]) for one in records if one.get("loss") is not None)
    measured = tuple(
        Measured(
            one["step"],
            math.inf if one["distance"] is None else one["distance"],
            _how(one, one["evaluations"], one["count"], one.get("guidance")),
        )
        for one in records
        if "distance" in one
    )
    held = read_evaluation(folder) or {}
    evaluated = tuple(
        Measured(
            held["step"],
            one["frechet"],
            _how(one, steps, one["generated_count"], held.get("guidance"), held["sampler"]),
            one.get("warning", ""),
        )
        for steps, one in held.get("evaluations", {}).items()
    )
    if not (losses or measured or evaluated):
        raise ValueError(f"run {str(folder)!r} has written down no loss or distance yet; train it further")
    return RunCurve(title, losses, measured, evaluated)


def plot_run_curves(curves: Sequence[RunCurve]) -> bytes:
    """Distances against steps, a panel for each way of measuring, and the training loss, as PNG bytes."""
    styles = styles_for([curve.title for curve in curves], LIGHT)
    ways = tuple(dict.fromkeys(one.how for curve in curves for one in curve.measured))
    panels: list[tuple[str, dict[str, list[tuple[int, float]]]]] = [
        (way, {curve.title: _of(curve, way) for curve in curves}) for way in ways
    ]
    losses = {curve.title: list(curve.losses) for curve in curves}
    panels.append(("Training loss (no evidence: every pairing lowers it)", losses))
    top = 0.3 * len(curves) + 0.2  # inches, of the legend
    figure = new_figure(6.8 * len(panels), 4.6 + top, LIGHT)
    for axes, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        dress(axes, LIGHT, "\n".join(wrap(title, 56)), "training steps")
        for name, points in lines.items():
            drawn = line(styles[name], *zip(*points, strict=True)) if points else Line2D([], [])
            drawn.set_markevery(max(1, len(points) // 8))
            axes.add_line(drawn)
        axes.autoscale_view()
        axes.set_ylabel(
            literal("lower is better" if title in ways else "loss"), fontsize=FONT_SIZE, color=LIGHT.ink
        )
    figure.tight_layout(rect=(0, 0, 1, 4.6 / (4.6 + top)), w_pad=2)
    legend(figure, {name: line(style) for name, style in styles.items()}, 1, LIGHT)
    return to_png(figure)


def run_curves_csv(curves: Sequence[RunCurve]) -> str:
    """Every number of the runs as CSV: run, step, quantity, value, how it was measured."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["run", "step", "quantity", "value", "how"])
    for curve in curves:
        rows.writerows([curve.title, step, "loss", loss, ""] for step, loss in curve.losses)
        for one in (*curve.measured, *curve.evaluated):
            rows.writerow([curve.title, one.step, "distance", one.distance, one.how])
    return text.getvalue()


def _of(curve: RunCurve, way: str) -> list[tuple[int, float]]:
    return [(one.step, one.distance) for one in curve.measured if one.how == way]


def _how(scored: dict[str, Any], steps: Any, count: int, guidance: Any, sampler: str = "") -> str:
    said = f"{scored['distance_name']} by {scored['features']}, {steps} steps"
    said += f" of {sampler}" if sampler else ""
    said += f", guidance {float(guidance):g}" if guidance is not None else ""
    return f"{said}, {count:,} images"
