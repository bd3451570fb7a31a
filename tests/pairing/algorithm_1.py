"""Algorithm 1 of the paper written literally, and its reduction to two numbers a candidate.

`nearest_of_k` is the reference for the tests and the benchmarks: it draws every candidate. At 3,072 elements
and 4,096 candidates that is 12.6 million numbers a row, and at ‖x‖ = 1e20 its distances are all the same in
float64; there `winners_of_k` stands in, which draws (a, c) of every candidate, and which the tests hold
against `nearest_of_k` where both can run. Of the distance alone the distribution is known in closed form.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy import stats
from torch import Tensor


def nearest_of_k(
    clean: Tensor,
    k: int,
    *,
    generator: torch.Generator | None = None,
    mask: Tensor | None = None,
    at_once: int | None = None,
) -> Tensor:
    """Draw k noises for every image of `clean` [B, ...] and keep the one nearest to it.

    mask: bool, broadcasts to `clean`; False is left out of the distance.
    at_once: candidates held in memory at a time; all of them by default.
    """
    best = torch.full((len(clean),), torch.inf, dtype=clean.dtype, device=clean.device)
    kept = torch.empty_like(clean)
    for start in range(0, k, at_once or k):
        count = min(at_once or k, k - start)
        noises = torch.randn(
            (count, *clean.shape), dtype=clean.dtype, device=clean.device, generator=generator
        )
        differences = clean - noises  # [k, B, ...]
        if mask is not None:
            differences = differences * mask
        distances = differences.flatten(2).norm(dim=2)  # [k, B]
        nearest = distances.argmin(dim=0)  # [B]
        rows = torch.arange(len(clean), device=clean.device)
        closer = distances[nearest, rows] < best
        best = torch.where(closer, distances[nearest, rows], best)
        kept[closer] = noises[nearest, rows][closer]
    return kept


def winners_of_k(
    norms: np.ndarray, dimension: int, k: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the projection a and the squared rest c of the nearest of k noises, for images of these norms.

    A candidate enters its distance only through a ~ N(0, 1), along the image, and c ~ χ²(D − 1), across it:
    ‖x − n‖² = ‖x‖² + a² + c − 2‖x‖a. norms: [N]. Returns a [N], c [N].
    """
    a_parts, c_parts = [], []
    for part in np.array_split(norms, max(1, len(norms) * k // 2_000_000)):
        a = random.standard_normal((len(part), k))
        c = random.chisquare(dimension - 1, a.shape) if dimension > 1 else np.zeros_like(a)
        index = (a**2 + c - 2 * part[:, None] * a).argmin(axis=1)[:, None]
        a_parts.append(np.take_along_axis(a, index, 1)[:, 0])
        c_parts.append(np.take_along_axis(c, index, 1)[:, 0])
    return np.concatenate(a_parts), np.concatenate(c_parts)


def least_distance_cdf(k: int, dimension: int, norm: float) -> Callable[[np.ndarray], np.ndarray]:
    """The distribution function of ‖x − n‖² for the nearest of k: each is noncentral χ²."""

    def cdf(square: np.ndarray) -> np.ndarray:
        one = stats.ncx2.cdf(square, dimension, norm**2) if norm else stats.chi2.cdf(square, dimension)
        return -np.expm1(k * np.log1p(-one))

    return cdf
