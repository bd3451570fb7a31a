"""Pictures of miscibility: entropy over time, distances between noise clusters, and a t-SNE of them."""

from collections.abc import Mapping

import numpy as np

from immiscible_diffusion.analysis.clean_images import CleanImages
from immiscible_diffusion.analysis.laws import Floats
from immiscible_diffusion.analysis.posterior import Posterior
from immiscible_diffusion.figures import (
    DOTTED,
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

# §3.2 and §5 print no dimension; the models there are DDIM on CIFAR-10.
PAPER = {"vanilla": 0.92, "KNN": 2.17, "assignment": 4.11}
PAPER_DIMENSION = 3072


def entropy_picture(
    images: CleanImages, seed: int, curves: Mapping[str, Posterior], diffusion: Floats
) -> bytes:
    """Mean posterior entropy against time, in diffusion (its ratio at each t) and flow matching; 95 %
    bands."""
    figure = new_figure(12.5, 6.2, LIGHT)
    left, right = figure.subplots(1, 2, sharey=True)
    entries = {}
    most = np.log(len(images))
    for (name, curve), style in zip(curves.items(), styles_for(list(curves), LIGHT).values(), strict=True):
        means = curve.entropies.mean(axis=1)
        errors = 1.96 * curve.entropies.std(axis=1, ddof=1) / curve.entropies.shape[1] ** 0.5
        ratios = np.array(curve.ratios)
        within = (ratios >= diffusion[-1]) & (ratios <= diffusion[0])
        steps = np.interp(-np.log(np.maximum(ratios, 1e-9)), -np.log(diffusion), np.arange(len(diffusion)))
        for axes, times, shown in (
            (left, steps, within),
            (right, 1 / (1 + ratios), np.full(len(ratios), True)),
        ):
            axes.add_line(line(style, times[shown], means[shown]))
            low, high = (means - errors)[shown], (means + errors)[shown]
            axes.fill_between(times[shown], low, high, color=style.colour, alpha=0.15, linewidth=0)
        entries[name] = line(style)
    dress(left, LIGHT, "DDPM, linear schedule", "t (0 clean, 999 noisiest)")
    dress(right, LIGHT, "Flow matching", "t (0 clean, 1 noise)")
    for axes in (left, right):
        axes.axhline(most, color=LIGHT.ink, linestyle=DOTTED, linewidth=1.4)
        axes.set_ylim(bottom=0)
        axes.autoscale_view()
    left.annotate("nothing known: ln N", (0.02, most), xycoords=("axes fraction", "data"), va="bottom")
    left.set_ylabel("entropy of p(image | noisy point), nats", fontsize=FONT_SIZE, color=LIGHT.ink)
    samples = next(iter(curves.values())).entropies.shape[1] if curves else 0
    footnote(
        figure,
        f"{images.describe()}, seed {seed}; {samples} noisy points at each time; bands: 95 % of the mean",
        LIGHT,
    )
    figure.tight_layout(rect=(0, 0.04, 1, 0.88), w_pad=2)
    legend(figure, entries, 4, LIGHT)
    return to_png(figure)


def cluster_picture(images: CleanImages, seed: int, distances: Mapping[str, Floats], vanilla: float) -> bytes:
    """The distances of all pairs of clusters, their mean, vanilla's expectation and the paper's figures."""
    figure = new_figure(9.5, 1.9 + 0.75 * len(distances), LIGHT)
    axes = figure.subplots()
    dress(axes, LIGHT, "Distance between the noise clusters of two images", "L2 distance of cluster means")
    for row, (name, style) in enumerate(styles_for(list(distances), LIGHT).items()):
        values = distances[name]
        places = row + 0.22 * np.sin(
            np.arange(len(values)) * 2.4
        )  # spread, so that points do not cover each other
        axes.plot(values, places, ".", color=style.colour, alpha=0.35, markersize=5)
        axes.plot(
            values.mean(), row, style.marker, color=style.colour, markersize=11, markeredgecolor=LIGHT.ink
        )
    axes.axvline(vanilla, color=LIGHT.ink, linestyle=DOTTED, linewidth=1.6)
    axes.annotate(
        "sampling\nalone",
        (vanilla, len(distances) - 0.45),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=FONT_SIZE - 3,
    )
    if images.dimension == PAPER_DIMENSION:
        for name, value in PAPER.items():
            axes.axvline(value, color=LIGHT.faint, linewidth=1.2, linestyle=(0, (6, 3)))
            axes.annotate(
                f"paper:\n{name} {value}",
                (value, -0.72),
                ha="center",
                va="top",
                fontsize=FONT_SIZE - 3,
                backgroundcolor=LIGHT.background,
            )
    axes.set_yticks(
        range(len(distances)), [literal(name) for name in distances], fontsize=FONT_SIZE, color=LIGHT.ink
    )
    axes.set_ylim(len(distances) - 0.4, -1.0)
    axes.set_xlim(left=0)
    footnote(figure, f"{images.describe()}, seed {seed}; points: pairs of images; large: their mean", LIGHT)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    return to_png(figure)


def tsne_picture(
    images: CleanImages, seed: int, planes: Mapping[str, Floats], purity: Mapping[str, float]
) -> bytes:
    """The noises of a few images in the plane, [F, n, 2] for each pairing."""
    columns = min(3, len(planes))
    rows = -(-len(planes) // columns)
    figure = new_figure(4.2 * columns, 4.5 * rows + 0.6, LIGHT)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in panels[len(planes) :]:
        axes.set_axis_off()
    for axes, (name, plane) in zip(panels, planes.items(), strict=False):
        looks = styles_for([f"image {number + 1}" for number in range(len(plane))], LIGHT).values()
        for style, points in zip(looks, plane, strict=True):
            axes.plot(
                points[:, 0], points[:, 1], style.marker, color=style.colour, markersize=3.2, alpha=0.75
            )
        dress(axes, LIGHT, name, f"nearest is of the same image: {100 * purity[name]:.0f} %")
        axes.set_xticks([])
        axes.set_yticks([])
    count, points = next(iter(planes.values())).shape[:2]
    footnote(
        figure,
        f"t-SNE of {points} noises of each of {count} images, {images.name}, seed {seed}; "
        f"by chance {100 / count:.0f} %",
        LIGHT,
    )
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return to_png(figure)
