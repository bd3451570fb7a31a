"""Two numbers instead of thousands: a few images as points in the plane, and where each one's noise lies."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from immiscible_diffusion.analysis.clean_images import CleanImages
from immiscible_diffusion.analysis.posterior import posterior
from immiscible_diffusion.figures import (
    FONT_SIZE,
    LIGHT,
    dress,
    footnote,
    legend,
    line,
    new_figure,
    styles_for,
    to_png,
)
from immiscible_diffusion.pairing import Independent, Nearest
from immiscible_diffusion.randomness import generator_for

RADIUS = 1.2  # of the ring that the images lie on; noise has std 1 in each direction
POINTS = 150  # noises drawn for each image
WAYS = 12  # of them with their way to the image
ASKED = 1000  # noisy points that the images in play are counted at


@dataclass(frozen=True, eq=False)
class Territories:
    """Images in the plane with the noisy points that training makes of them at one time."""

    images: Tensor  # [N, 2]
    noise: Tensor  # [N, M, 2], each image's own
    noisy: Tensor  # [N, M, 2], (1 − time) · image + time · noise, as in flow matching
    k: float
    time: float
    in_play: float  # e^entropy: how many images a noisy point may come from, 1 to N


def territories(count: int, k: int, time: float, *, seed: int = 0) -> Territories:
    """Pair `count` images on a ring with the nearest of k noises, and look at flow-matching time `time`.

    k: 1 is vanilla. time: 0 clean to 1 noise. Equal seeds draw from equal generator states.
    Raises ValueError for fewer than 2 images, k below 1 or a time out of (0, 1].
    """
    if count < 2:
        raise ValueError(f"count must be 2 images or more, got {count}")
    if not 0 < time <= 1:
        raise ValueError(f"time must be above 0 and at most 1 (noise), got {time}")
    pairing = Independent() if k == 1 else Nearest(k=k)
    angles = torch.arange(count) * (2 * math.pi / count)
    images = RADIUS * torch.stack([angles.cos(), angles.sin()], dim=1)
    noise = pairing(images.repeat_interleave(POINTS, 0), generator=generator_for(seed, "noise"))
    noise = noise.unflatten(0, (count, POINTS))
    known = posterior(
        CleanImages("points", images, None, ""),
        pairing,
        (0.0, (1 - time) / time),
        ASKED,
        generator_for(seed, "noise", 1),
        generator_for(seed, "samples"),
    )
    noisy = (1 - time) * images[:, None] + time * noise
    return Territories(images, noise, noisy, k, time, float(np.exp(known.entropies[1].mean())))


def plot_territories(shown: Territories) -> bytes:
    """Draw every image (large, outlined) with its noisy points and some of the ways to it, as PNG bytes."""
    figure = new_figure(7.2, 7.6, LIGHT)
    axes = figure.subplots()
    looks = styles_for([f"image {number + 1}" for number in range(len(shown.images))], LIGHT)
    entries = {}
    for (name, style), image, noise, noisy in zip(
        looks.items(), shown.images, shown.noise, shown.noisy, strict=True
    ):
        for end in noise[:WAYS]:
            axes.plot(*torch.stack([image, end]).T, color=style.colour, linewidth=0.9, alpha=0.5)
        axes.plot(*noisy.T, style.marker, color=style.colour, markersize=4, alpha=0.6, linestyle="none")
        axes.plot(*image, style.marker, color=style.colour, markersize=13, markeredgecolor=LIGHT.ink)
        entries[name] = line(style)
    named = "vanilla: any noise" if shown.k == 1 else f"nearest of {shown.k:g}"
    dress(axes, LIGHT, f"{named}, time {shown.time:g} (0 image, 1 noise)", "")
    axes.set_xlim(-3.6, 3.6)
    axes.set_ylim(-3.6, 3.6)
    axes.set_aspect("equal")
    footnote(figure, "large: images; small: their noisy points; lines: ways from noise to image", LIGHT)
    figure.tight_layout(rect=(0, 0.03, 1, 0.98 - 0.045 * -(-len(entries) // 4)))
    if len(entries) <= 8:
        legend(figure, entries, 4, LIGHT)
    axes.tick_params(labelsize=FONT_SIZE - 3)
    return to_png(figure)
