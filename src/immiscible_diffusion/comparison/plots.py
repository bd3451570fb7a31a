"""Pictures of a comparison as PNG bytes: curves, speed-ups and samples, on light or on dark paper."""

import math
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from torch import Tensor

from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.comparison.curves import Comparison, Curve, curves_of, distances, pairing_names
from immiscible_diffusion.comparison.statistics import Estimate, Summary, best, first_crossing
from immiscible_diffusion.figures import (
    DOTTED,
    FONT_SIZE,
    LIGHT,
    Paper,
    Style,
    dress,
    legend,
    line,
    literal,
    new_figure,
    styles_for,
    tiled,
    to_png,
)


def plot_curves(comparison: Comparison, summaries: tuple[Summary, ...], paper: Paper = LIGHT) -> bytes:
    """Distance against training steps, one panel for each evaluation count, as PNG bytes.

    Thick: mean over seeds; band: lowest to highest seed; thin: seeds; dotted: mean of the baseline's bests.
    Hollow markers: a seed first reaches its own baseline's best. Step 0 and diverged points are left out.
    """
    chosen = styles_for(pairing_names(comparison), paper)
    count = len(comparison.evaluations)
    columns = max(2, min(count, 3))
    legend_height = 0.3 * -(-(len(summaries) + 2) // columns) + 0.1  # inches
    figure = new_figure(max(4.7 * count, 9.4), 5.0 + legend_height, paper)
    panels = figure.subplots(1, count, squeeze=False)[0]
    for axes, evaluations in zip(panels, comparison.evaluations, strict=True):
        judged = " (judged here)" if evaluations == comparison.judged_at and count > 1 else ""
        dress(axes, paper, f"{evaluations} evaluations per image{judged}", "training steps")
        for name, style in chosen.items():
            _draw_runs(axes, curves_of(comparison, name), evaluations, style)
        _draw_target(axes, comparison, evaluations, chosen, paper)
        _make_logarithmic(axes, comparison, evaluations)
    label = "\n".join(wrap(say.distance_words(comparison), 44))
    panels[0].set_ylabel(literal(label), color=paper.ink, fontsize=FONT_SIZE)
    entries = {_name(summary, " "): line(chosen[summary.pairing]) for summary in summaries}
    entries[f"{comparison.baseline}'s best"] = Line2D(
        [], [], color=paper.ink, linestyle=DOTTED, linewidth=1.6
    )
    entries["a seed reaching it"] = _hollow(Style(paper.ink, "o", "none"), paper)
    figure.tight_layout(rect=(0, 0, 1, 5.0 / (5.0 + legend_height)), w_pad=2)
    legend(figure, entries, columns, paper)
    return to_png(figure)


def plot_speed_ups(comparison: Comparison, summaries: tuple[Summary, ...], paper: Paper = LIGHT) -> bytes:
    """Speed-up to the baseline's best in steps and in wall time, at the judged evaluations, as PNG bytes.

    Large marker: median over seeds; bar: bootstrap interval; small markers: seeds. 0 means "not reached".
    """
    chosen = styles_for(pairing_names(comparison), paper)
    shown = [summary for summary in summaries if summary.pairing != comparison.baseline] or list(summaries)
    figure = new_figure(13, 1.9 + 0.85 * len(shown), paper)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, in_time in zip(panels, (False, True), strict=True):
        kind = "wall time" if in_time else "training steps"
        ratio = f"{comparison.baseline}'s {kind} to its best ÷ the pairing's"
        dress(axes, paper, f"Speed-up in {kind}, {comparison.judged_at} evaluations", ratio)
        axes.grid(axis="y", visible=False)
        reaches = [summary.reach[comparison.judged_at] for summary in shown]
        estimates = [reach.speed_up_in_time if in_time else reach.speed_up for reach in reaches]
        for row, (summary, estimate) in enumerate(zip(shown, estimates, strict=True)):
            _draw_speed_up(axes, row, estimate, chosen[summary.pairing], paper)
        axes.axvline(1, color=paper.ink, linewidth=1.6, linestyle=DOTTED)
        highest = max([1.6, *(v for estimate in estimates for v in estimate.per_seed if math.isfinite(v))])
        axes.set_xlim(-0.08 * highest, 1.08 * highest)
        axes.set_ylim(len(shown) - 0.5, -0.65)
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: "not\nreached" if abs(value) < 1e-9 else f"{value:g}×")
        )
    names = [literal(_name(summary, "\n")) for summary in shown]
    panels[0].set_yticks(range(len(shown)), names, color=paper.ink, fontsize=FONT_SIZE)
    figure.tight_layout(w_pad=3)
    return to_png(figure)


def plot_samples(
    comparison: Comparison,
    summaries: tuple[Summary, ...],
    samples: Mapping[str, Tensor],
    paper: Paper = LIGHT,
    most: int = 64,
) -> bytes:
    """Samples of every pairing side by side, image for image from the same noise, as PNG bytes.

    `samples`: pairing to uint8 [N, C, H, W] with C 1 or 3; the first `most` are shown. Raises ValueError for
    other shapes, for pairings that the comparison has not, and for shapes that differ between pairings.
    """
    check_samples(comparison, samples)
    at = comparison.judged_at
    shown = [summary for summary in summaries if summary.pairing in samples]
    grids = [tiled(samples[summary.pairing][:most], paper) for summary in shown]
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    tall, wide, _ = grids[0].shape
    side, title_height, gap = 4.4, 0.62, 0.2  # inches
    height = side * tall / wide + title_height + gap
    figure = new_figure(columns * (side + gap), rows * height, paper)
    for index, (summary, grid) in enumerate(zip(shown, grids, strict=True)):
        left = (index % columns + gap / 2 / (side + gap)) / columns
        bottom = 1 - (index // columns + (height - gap) / height) / rows
        width = side / (side + gap) / columns
        axes = figure.add_axes((left, bottom, width, side * tall / wide / height / rows))
        axes.imshow(grid, interpolation="nearest")
        axes.set_axis_off()
        title = (
            f"{summary.pairing}\ndistance {say.mean_with_interval(summary.distance[at])} at {at} evaluations"
        )
        axes.set_title(literal(title), color=paper.ink, fontsize=FONT_SIZE, loc="left")
    return to_png(figure)


def check_samples(comparison: Comparison, samples: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless `samples` holds uint8 [N, C, H, W] of one shape for known pairings."""
    names = pairing_names(comparison)
    for name, images in samples.items():
        shape = list(images.shape)
        if name not in names:
            raise ValueError(f"samples has the pairing {name!r}: use those of the comparison, {list(names)}")
        if images.dtype != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3) or min(shape) < 1:
            raise ValueError(
                f"samples[{name!r}] is {images.dtype} {shape}: give uint8 [N, C, H, W] with C 1 or 3"
            )
    shapes = sorted({tuple(images.shape) for images in samples.values()})
    if len(shapes) > 1:
        raise ValueError(f"samples have the shapes {shapes}: draw as many from every pairing, from one noise")


def _draw_runs(axes: Any, runs: tuple[Curve, ...], evaluations: int, style: Style) -> None:
    steps = np.array([point.step for point in runs[0].points], dtype=np.float64)
    values = np.array([distances(run, evaluations) for run in runs], dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    values, steps = values[:, steps > 0], steps[steps > 0]  # a log axis has no step 0
    if len(runs) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(steps, low, high, color=style.colour, alpha=0.14, linewidth=0)
        axes.plot(steps, values.T, color=style.colour, linewidth=0.8, alpha=0.5)
    mean = line(style)
    mean.set_data(steps, values.mean(axis=0))
    mean.set_markevery(max(1, len(steps) // 8))
    axes.add_line(mean)


def _draw_target(
    axes: Any, comparison: Comparison, evaluations: int, chosen: dict[str, Style], paper: Paper
) -> None:
    targets = {run.seed: best(run, evaluations) for run in curves_of(comparison, comparison.baseline)}
    axes.axhline(float(np.mean(list(targets.values()))), color=paper.ink, linestyle=DOTTED, linewidth=1.6)
    for curve in comparison.curves:
        step, _ = first_crossing(curve, targets[curve.seed], evaluations)
        if 0 < step < math.inf:
            marker = _hollow(chosen[curve.pairing], paper)
            marker.set_data([step], [targets[curve.seed]])
            axes.add_line(marker)
    axes.autoscale_view()


def _draw_speed_up(axes: Any, row: int, estimate: Estimate, style: Style, paper: Paper) -> None:
    if estimate.interval is not None:
        ends = [estimate.interval.low, estimate.interval.high]
        axes.plot(ends, [row, row], color=style.colour, linewidth=6, alpha=0.35, solid_capstyle="butt")
    axes.plot(estimate.value, row, marker=style.marker, color=style.colour, markersize=11)
    seeds = {"marker": style.marker, "markersize": 5, "linestyle": "none", "color": style.colour}
    axes.plot(estimate.per_seed, [row + 0.25] * len(estimate.per_seed), fillstyle="none", **seeds)
    place = {"xy": (1, row - 0.2), "xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
    axes.annotate(say.speed_up_with_interval(estimate), color=paper.ink, fontsize=FONT_SIZE, **place)


def _make_logarithmic(axes: Any, comparison: Comparison, evaluations: int) -> None:
    """Log axes make a speed-up a horizontal shift; a distance of 0 or below keeps its axis linear."""
    positive = min(min(distances(curve, evaluations)) for curve in comparison.curves) > 0
    axes.set_xscale("log")
    axes.set_yscale("log" if positive else "linear")
    for axis in (axes.xaxis, axes.yaxis) if positive else (axes.xaxis,):
        low, high = axis.get_view_interval()
        # Within half a decade 1, 2, 5 may leave an axis with no number at all.
        near = high / low < 5
        axis.set_major_locator(MaxNLocator(5) if near else LogLocator(base=10, subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator() if near else LogLocator(base=10, subs="auto"))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axis.set_minor_formatter(NullFormatter())


def _hollow(style: Style, paper: Paper) -> Line2D:
    look: dict[str, Any] = {"markeredgecolor": style.colour, "markerfacecolor": paper.background}
    return Line2D(
        [], [], linestyle="none", marker=style.marker, markersize=9, markeredgewidth=2, zorder=5, **look
    )


def _name(summary: Summary, separator: str) -> str:
    return f"{summary.pairing}{separator}({say.seeds_words(len(summary.seeds))})"
