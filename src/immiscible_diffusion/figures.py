"""How figures look: one colour, marker and dash pattern a pairing, on light or on dark paper.

Colours are Okabe and Ito's, which colour-blind readers can tell apart, a few darkened or lightened to stand
out of the paper; every pairing has its own marker and dashes too.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

FONT_SIZE = 13
DOTTED = (0, (1, 2))


@dataclass(frozen=True)
class Paper:
    """Colours of a page: its background, text, ticks, grid, the baseline and the other pairings in order."""

    background: str
    ink: str
    faint: str
    grid: str
    baseline: str
    pairings: tuple[str, ...]


@dataclass(frozen=True)
class Style:
    """How one pairing is drawn everywhere."""

    colour: str
    marker: str
    dashes: Any


LIGHT = Paper(
    background="#ffffff",
    ink="#1c1f23",
    faint="#5b626a",
    grid="#e3e6e9",
    baseline="#3c4043",
    pairings=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B07800", "#56B4E9"),
)
DARK = Paper(
    background="#15181c",
    ink="#e8eaed",
    faint="#a3abb3",
    grid="#30353b",
    baseline="#d5d9dd",
    pairings=("#56B4E9", "#E69F00", "#2BBF94", "#DE9CC2", "#F0E442", "#FF8A4C"),
)
_MARKERS = ("s", "^", "D", "v", "P", "X")
_DASHES = (
    (0, (6, 1.6)),
    (0, (3, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (1.2, 1.2)),
    (0, (9, 2)),
    (0, (4, 1.2, 1.2, 1.2, 1.2, 1.2)),
)


def styles_for(names: Sequence[str], paper: Paper) -> dict[str, Style]:
    """One style a pairing: neutral for the first, the baseline; beyond seven pairings the styles repeat."""
    first, *others = names
    looks = list(zip(paper.pairings, _MARKERS, _DASHES, strict=True))
    chosen = {name: Style(*looks[index % len(looks)]) for index, name in enumerate(others)}
    return {first: Style(paper.baseline, "o", "solid")} | chosen


def new_figure(width: float, height: float, paper: Paper) -> Figure:
    """An empty figure, in inches, on this paper; no global state is touched."""
    return Figure(figsize=(width, height), dpi=150, facecolor=paper.background)


def dress(axes: Any, paper: Paper, title: str, horizontal: str) -> None:
    """Give a panel its paper, grid, title and label of the horizontal axis."""
    axes.set_facecolor(paper.background)
    axes.grid(color=paper.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=paper.faint, labelcolor=paper.ink, labelsize=FONT_SIZE - 1, which="both")
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(paper.faint)
    axes.set_title(literal(title), color=paper.ink, fontsize=FONT_SIZE + 1, loc="left")
    axes.set_xlabel(literal(horizontal), color=paper.ink, fontsize=FONT_SIZE)


def legend(figure: Figure, entries: dict[str, Line2D], columns: int, paper: Paper) -> None:
    """A legend above all panels: words to the line that they explain."""
    figure.legend(
        list(entries.values()),
        [literal(words) for words in entries],
        loc="upper center",
        ncols=columns,
        frameon=False,
        labelcolor=paper.ink,
        fontsize=FONT_SIZE,
        handlelength=3.4,
    )


def footnote(figure: Figure, words: str, paper: Paper) -> None:
    """What was looked at, in small print below all panels."""
    figure.text(0.01, 0.01, literal(words), color=paper.faint, fontsize=FONT_SIZE - 2, ha="left", va="bottom")


def line(style: Style, horizontal: Sequence[float] = (), vertical: Sequence[float] = ()) -> Line2D:
    """A line in the style of its pairing; without points, an entry for a legend."""
    look: dict[str, Any] = {"color": style.colour, "linestyle": style.dashes, "marker": style.marker}
    return Line2D(horizontal, vertical, linewidth=2.4, markersize=5.5, **look)


def tiled(pixels: Tensor, paper: Paper, columns: int | None = None) -> Any:
    """Lay images out as one array [R, S, 3] for `imshow`, with lines of paper between them.

    pixels: uint8 [N, 1 or 3, H, W]. columns: a square-ish grid where not given.
    """
    count, channels, height, width = pixels.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    gap = image_gap(height)
    paint = [int(paper.background[i : i + 2], 16) for i in (1, 3, 5)]
    grid = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), paint, dtype=np.uint8)
    for index, image in enumerate(pixels.cpu().numpy()):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        colours = np.repeat(image, 3, axis=0) if channels == 1 else image
        grid[top : top + height, left : left + width] = colours.transpose(1, 2, 0)
    return grid


def image_gap(height: int) -> int:
    """Pixels of paper that `tiled` leaves between images of this height."""
    return max(1, height // 16)


def literal(text: str) -> str:
    """Keep matplotlib from reading a dollar sign as mathematics."""
    return text.replace("$", r"\$")


def to_png(figure: Figure) -> bytes:
    """Draw a figure without a display."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
