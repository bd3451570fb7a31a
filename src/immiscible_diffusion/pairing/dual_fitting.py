"""Dual values of the semidiscrete optimal transport between N(0, I) and a data set (arXiv 2509.25519, §3).

Noise n goes to the image x_i with the largest ⟨n, x_i⟩ + g_i: for squared distances that is the optimal
transport once every image receives 1/N of the noise. The g are found by averaged stochastic ascent of the
(concave) dual: its gradient in g_i is 1/N minus the share that x_i receives. No entropy: ε = 0 in the paper.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from immiscible_diffusion.pairing.checks import check_clean

BATCH = 1024  # noises a step
NOISES = 1000  # an image: leaves masses about 4 % off on digits; the error falls with its root
# How far one noise pushes the dual of the image that it picks at first, in mean distances to the mean image.
STEP = 0.03
# A whole batch pushes no further than this: few images would swing.
FARTHEST = 0.25


@dataclass(frozen=True, eq=False)
class Duals:
    """The state of a fit.

    images: float32 [U, ...], the data set without repetitions. counts: float32 [U], how often each is in it.
    values: g, float32 [U], averaged over the second half of the fit. current: g of the last step.
    step: steps done. steps: steps in all.
    """

    images: Tensor
    counts: Tensor
    values: Tensor
    current: Tensor
    step: int
    steps: int


def begin_fit(images: Tensor, noises: int = NOISES) -> Duals:
    """Prepare a fit to `images` [N, ...] with `noises` noises an image; see `fit_duals`."""
    check_clean(images, None)
    if len(images) == 0 or images[0].numel() == 0:
        raise ValueError(f"images must not be empty, got shape {tuple(images.shape)}")
    if noises < 1:
        raise ValueError(f"noises must be 1 or more an image, got {noises}; {NOISES} is usual")
    if not bool(torch.isfinite(images).all()):
        raise ValueError("images has a NaN or infinite value; remove or repair these images")
    rows, counts = torch.unique(images.detach().float().flatten(1), dim=0, return_counts=True)
    first = _independent_duals(rows)
    steps = max(1, math.ceil(noises * len(rows) / BATCH))
    return Duals(rows.view(-1, *images.shape[1:]), counts.float(), first, first, 0, steps)


def fit_step(duals: Duals, generator: torch.Generator | None) -> Duals:
    """Draw a batch of noise, see which images it picks, and move their duals."""
    rows = duals.images.flatten(1)
    noise = torch.randn((BATCH, rows.shape[1]), device=rows.device, generator=generator)
    wanted = duals.counts / duals.counts.sum()
    received = torch.bincount(picked(noise, rows, duals.current), minlength=len(rows)) / BATCH
    push = min(FARTHEST, STEP * BATCH / len(rows)) / math.sqrt(1 + 20 * duals.step / duals.steps)
    current = duals.current + push * _spread(rows) * (1 - received / wanted)
    step = duals.step + 1
    late = step - duals.steps // 2  # steps that count in the average
    values = current if late < 1 else duals.values + (current - duals.values) / late
    return replace(duals, values=values, current=current, step=step)


def fit_duals(images: Tensor, *, generator: torch.Generator | None = None, noises: int = NOISES) -> Duals:
    """Fit one dual value to every image of a data set [N, ...], on its device.

    noises: drawn in all, for each image; the masses' relative error is about 1.3/√noises. Work is
    2 · noises · N² · D multiplications and additions.
    The plan depends neither on the images' scale nor on what is added to all of them.
    Raises ValueError for images that are empty or not finite, or noises under 1.
    """
    duals = begin_fit(images, noises)
    while duals.step < duals.steps:
        duals = fit_step(duals, generator)
    return duals


def picked(noise: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """The image that each noise [M, D] goes to: argmax ⟨n, x_i⟩ + g_i over rows [U, D], int64 [M]."""
    return torch.addmm(values, noise, rows.T).argmax(dim=1)


def _independent_duals(rows: Tensor) -> Tensor:
    """The duals if the images were orthogonal and many: the long would win more, by ‖x_i‖ · Φ⁻¹(1 − 1/U)."""
    lengths = torch.linalg.vector_norm(rows - rows.mean(dim=0), dim=1)
    rarity = torch.special.ndtri(torch.tensor(1 - 1 / max(len(rows), 2), dtype=torch.float64))
    first: Tensor = -lengths * float(rarity)
    return first


def _spread(rows: Tensor) -> float:
    sample = rows[:: max(1, len(rows) // 1024)]
    distance: Tensor = torch.linalg.vector_norm(sample - sample.mean(dim=0), dim=1).mean()
    return float(distance) or 1.0
