"""Grids of images with named rows and columns."""

from collections.abc import Sequence
from typing import Any

from matplotlib.patches import Rectangle
from torch import Tensor

from immiscible_diffusion.figures import FONT_SIZE, LIGHT, image_gap, literal, new_figure, tiled, to_png

MARK = "#D55E00"
SIDE = 0.62  # inches an image


def plot_grid(
    pixels: Tensor,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    horizontal: str,
    *,
    marked: Tensor | None = None,
    note: str = "",
) -> bytes:
    """Draw images in rows and columns, as PNG bytes.

    pixels: uint8 [R, C, 1 or 3, H, W]. rows, columns: their names. horizontal: what the columns are.
    marked: bool [R, C], images to put a dashed frame around. note: a line below.
    """
    count_down, count_across, _, height, width = pixels.shape
    gap = image_gap(height)
    label = 0.1 * max(len(line) for row in rows for line in row.split("\n")) + 0.25  # inches
    foot = (0.95 if note else 0.65) if horizontal else (0.6 if note else 0.35)
    wide, tall = count_across * SIDE + label + 0.15, count_down * SIDE * height / width + 0.55 + foot
    figure = new_figure(max(wide, 5.5), tall, LIGHT)
    scale = wide / max(wide, 5.5)
    axes = figure.add_axes(
        (label / wide * scale, foot / tall, (1 - (label + 0.15) / wide) * scale, 1 - (0.55 + foot) / tall)
    )
    axes.imshow(tiled(pixels.flatten(0, 1), LIGHT, count_across), interpolation="nearest", aspect="equal")
    across = [c * (width + gap) + (width - 1) / 2 for c in range(count_across)]
    down = [r * (height + gap) + (height - 1) / 2 for r in range(count_down)]
    axes.set_xticks(across, [literal(name) for name in columns], fontsize=FONT_SIZE - 2, color=LIGHT.ink)
    axes.set_yticks(down, [literal(name) for name in rows], fontsize=FONT_SIZE - 1, color=LIGHT.ink)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(literal(horizontal), fontsize=FONT_SIZE, color=LIGHT.ink)
    figure.text(
        0.12 / wide, 1 - 0.12 / tall, literal(title), fontsize=FONT_SIZE, color=LIGHT.ink, ha="left", va="top"
    )
    if note:
        figure.text(0.12 / wide, 0.1 / tall, note, fontsize=FONT_SIZE - 2, color=LIGHT.faint, va="bottom")
    if marked is not None:
        for row, column in marked.nonzero().tolist():
            corner = (column * (width + gap) - 0.5, row * (height + gap) - 0.5)
            look: dict[str, Any] = {
                "fill": False,
                "edgecolor": MARK,
                "linewidth": 2.4,
                "linestyle": (0, (2, 1)),
            }
            axes.add_patch(Rectangle(corner, width, height, clip_on=False, **look))
    return to_png(figure)
