"""Pictures of the denoising steps: distance by step, and film strips."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from torch import Tensor

from immiscible_diffusion.analysis.image_grids import plot_grid
from immiscible_diffusion.analysis.trained_runs import Group
from immiscible_diffusion.figures import (
    FONT_SIZE,
    LIGHT,
    dress,
    footnote,
    legend,
    line,
    literal,
    new_figure,
    styles_for,
    to_png,
)

FILM_COLUMNS = 10


def plot_steps(
    groups: Sequence[Group],
    frechet: Mapping[str, Sequence[Sequence[float]]],
    turnover: Mapping[str, Sequence[Sequence[float]]],
    measured: str,
    foot: str,
) -> bytes:
    """Distance of the predicted images, and turnover of neighbours, at every step, as PNG bytes.

    frechet, turnover: by group, one row a seed, one value a step, noisiest first.
    """
    chosen = styles_for([group.name for group in groups], LIGHT)
    figure = new_figure(12.5, 6.4, LIGHT)
    left, right = figure.subplots(1, 2)
    titles = ("Distance of x_pred,0 to real images", "Neighbours that are others at the end")
    for axes, title, values in zip((left, right), titles, (frechet, turnover), strict=True):
        dress(axes, LIGHT, title, "share of the way behind (0: pure noise)")
        for group in groups:
            seeds = np.array(values[group.name])
            behind = np.arange(seeds.shape[1]) / max(1, seeds.shape[1] - 1)
            style = chosen[group.name]
            if len(seeds) > 1:
                axes.fill_between(
                    behind, seeds.min(axis=0), seeds.max(axis=0), color=style.colour, alpha=0.16, linewidth=0
                )
            axes.add_line(line(style, behind, seeds.mean(axis=0)))
        axes.autoscale_view()
    left.set_ylabel(literal(measured), fontsize=FONT_SIZE, color=LIGHT.ink)
    lowest = min(min(map(min, rows)) for rows in frechet.values())
    if lowest > 0:
        left.set_yscale("log")
        left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        left.yaxis.set_minor_formatter(NullFormatter())
    right.set_ylabel("share of the 5 nearest", fontsize=FONT_SIZE, color=LIGHT.ink)
    right.set_ylim(0, 1)
    entries = {}
    for group in groups:
        seeds_said = f"seed {group.seeds[0]}" if len(group.seeds) == 1 else f"{len(group.seeds)} seeds"
        entries[f"{group.name} ({seeds_said})"] = line(chosen[group.name])
    band = "; bands: range over seeds" if any(len(group.seeds) > 1 for group in groups) else ""
    footnote(figure, foot + band, LIGHT)
    figure.tight_layout(rect=(0, 0.05, 1, 0.93 - 0.05 * ((len(entries) - 1) // 3)), w_pad=2)
    legend(figure, entries, 3, LIGHT)
    return to_png(figure)


def plot_film(images: Mapping[str, Tensor], title: str) -> bytes:
    """Film strips: some noises of every group (rows) along the way (columns), as PNG bytes.

    images: uint8 [S, N, C, H, W] by group, row for row from the same noise.
    """
    steps = next(iter(images.values())).shape[0]
    kept = np.unique(np.linspace(0, steps - 1, min(FILM_COLUMNS, steps)).round().astype(int))
    rows = torch.cat([each[kept].transpose(0, 1) for each in images.values()])
    names = [
        f"{name}" if number == 0 else "" for name, each in images.items() for number in range(each.shape[1])
    ]
    columns = [f"{step / max(1, steps - 1):.0%}" for step in kept]
    return plot_grid(rows, names, columns, title, "share of the way behind (0%: pure noise)")
