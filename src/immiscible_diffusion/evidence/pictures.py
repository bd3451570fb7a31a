"""The page's pictures: what each pairing changes, and how distances fall."""

import dataclasses

import numpy as np

from immiscible_diffusion.comparison import Comparison, plot_curves, summarize
from immiscible_diffusion.evidence.effects import Effect
from immiscible_diffusion.figures import (
    FONT_SIZE,
    LIGHT,
    Paper,
    dress,
    legend,
    line,
    literal,
    new_figure,
    styles_for,
    to_png,
)

CURVES_OF = 5  # pairings that one picture of curves can show


def effects_picture(effects: tuple[Effect, ...], title: str, paper: Paper = LIGHT) -> bytes:
    """Change of the distance by pairing, with intervals, one marker for each number of evaluations: a PNG."""
    pairings = list(dict.fromkeys(effect.pairing for effect in effects))
    counts = sorted({effect.evaluations for effect in effects})
    styles = styles_for(["", *map(str, counts)], paper)
    figure = new_figure(9, 1.7 + 0.42 * len(pairings), paper)
    axes = figure.subplots()
    dress(axes, paper, title, "change of the distance against vanilla, % (negative is better)")
    for effect in effects:
        style = styles[str(effect.evaluations)]
        row = pairings.index(effect.pairing) + 0.22 * (counts.index(effect.evaluations) - 1)
        if effect.change.interval is not None:
            ends = [100 * effect.change.interval.low, 100 * effect.change.interval.high]
            axes.plot(ends, [row, row], color=style.colour, linewidth=3, alpha=0.4, solid_capstyle="butt")
        axes.plot(100 * effect.change.value, row, marker=style.marker, color=style.colour, markersize=6)
    axes.axvline(0, color=paper.ink, linewidth=1.2)
    # One run that went wrong would press all others together.
    axes.set_xlim(-100, min(150.0, axes.get_xlim()[1]))
    axes.set_yticks(range(len(pairings)), [literal(name) for name in pairings], color=paper.ink)
    axes.set_ylim(len(pairings) - 0.5, -0.5)
    axes.tick_params(axis="y", labelsize=FONT_SIZE - 1)
    figure.tight_layout(rect=(0, 0, 1, 0.93))
    legend(figure, {f"{n} evaluations": line(styles[str(n)]) for n in counts}, len(counts), paper)
    figure.set_dpi(80)
    return to_png(figure)


def curves_picture(comparison: Comparison) -> bytes:
    """Distance against steps of the baseline and the first few other pairings: a PNG."""
    shown = list(dict.fromkeys(curve.pairing for curve in comparison.curves))[:CURVES_OF]
    part = dataclasses.replace(
        comparison, curves=tuple(curve for curve in comparison.curves if curve.pairing in shown)
    )
    return plot_curves(part, summarize(part, np.random.default_rng(0)))
