"""What is known in advance of the winner of k Gaussian noises: its moments, without drawing any.

Choosing by distance, S = ‖y − n‖² is the least of k draws of the noncentral χ² law with D degrees of
freedom and noncentrality ‖y‖² (y: the image, less its centre). Given S, n lies on the sphere of radius √S
about y and has there the von Mises–Fisher law with concentration ‖y‖√S about the way to the origin, which
gives the moments of the projection a = ⟨n, y/‖y‖⟩; and ‖n‖² = S − ‖y‖² + 2‖y‖a. Choosing by inner product, a
is the largest of k normals and the rest of n is untouched. So every moment is an integral over one number.
"""

from dataclasses import dataclass

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray

from immiscible_diffusion.pairing.nearest import Rule

Floats = NDArray[np.float64]

NODES = 17  # Chebyshev nodes over the lengths of the images
GRID = 601  # points of an integral over S or a, each of which is smooth and vanishes at both ends
WIDTH = 11.0  # standard deviations that the grid reaches


@dataclass(frozen=True, eq=False)
class WinnerMoments:
    """Moments of the winning noise of every image, float64 [N].

    projection, projection_variance: of a, the noise's component along y. energy, energy_variance: of ‖n‖².
    covariance: of the two.
    """

    projection: Floats
    projection_variance: Floats
    energy: Floats
    energy_variance: Floats
    covariance: Floats


def winner_moments(k: float, rule: Rule, lengths: Floats, dimension: int) -> WinnerMoments:
    """Find the moments of the noise that `Nearest(k, rule)` gives to images of these lengths ‖y‖.

    lengths: float64 [N]. dimension: D, at least 2. Smooth in ‖y‖, so computed at a few lengths and
    interpolated.
    """
    if k == 1 or rule == "dot":
        moments = _largest_normal_moments(k, dimension)
        return WinnerMoments(*(np.full(lengths.shape, moment) for moment in moments))
    low, high = float(lengths.min()), float(lengths.max())
    if high - low < 1e-9 * max(high, 1):
        return WinnerMoments(*(np.full(lengths.shape, m) for m in _least_distance_moments(k, low, dimension)))
    nodes = low + (high - low) * (1 - np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)) / 2
    table = np.array([_least_distance_moments(k, float(node), dimension) for node in nodes])
    fitted = np.polynomial.Chebyshev.fit
    return WinnerMoments(
        *(fitted(nodes, column, NODES - 1, domain=[low, high])(lengths) for column in table.T)
    )


def expected_distance(moments: WinnerMoments, along: Floats, energy: Floats, dimension: int) -> Floats:
    """E‖x − n‖ for every image x, float64 [N].

    along: ⟨x, y/‖y‖⟩, the image's component along what the noise was chosen against. energy: ‖x‖².
    From the exact mean and variance of ‖x − n‖², whose law is taken for a gamma law: off by about 1/(32 D²)
    of itself, 1e-5 at D = 64.
    """
    mean = energy - 2 * along * moments.projection + moments.energy
    across = np.maximum(energy - along**2, 0)
    rest = moments.energy - moments.projection_variance - moments.projection**2
    variance = (
        moments.energy_variance
        + 4 * along**2 * moments.projection_variance
        - 4 * along * moments.covariance
        + 4 * across * rest / (dimension - 1)
    )
    return _mean_root(mean, variance)


def expected_norm(moments: WinnerMoments) -> Floats:
    """E‖n‖ for every image, float64 [N]; as exact as `expected_distance`."""
    return _mean_root(moments.energy, moments.energy_variance)


def choice_information(k: float) -> float:
    """KL(noise of an image ‖ N(0, I)) in nats: ln k − (k − 1)/k, for either rule and any image."""
    return float(np.log(k) - (k - 1) / k)


def _mean_root(mean: Floats, variance: Floats) -> Floats:
    """E√Z of the gamma law with Z's mean and variance; exact for a χ²."""
    shape = mean**2 / variance
    root: Floats = np.sqrt(mean / shape) * scipy.special.poch(shape, 0.5)
    return root


def _largest_normal_moments(k: float, dimension: int) -> tuple[float, ...]:
    a = np.linspace(-WIDTH, WIDTH, GRID)
    weight = np.exp(-a * a / 2 + (k - 1) * scipy.special.log_ndtr(a))
    weight /= weight.sum()
    first, second, third, fourth = (float((weight * a**power).sum()) for power in (1, 2, 3, 4))
    return (
        first,
        second - first**2,
        second + dimension - 1,
        fourth - second**2 + 2 * (dimension - 1),
        third - first * second,
    )


def _least_distance_moments(k: float, length: float, dimension: int) -> tuple[float, ...]:
    energy = length**2
    law = scipy.stats.ncx2(dimension, energy)
    spread = np.sqrt(2 * (dimension + 2 * energy))
    middle = dimension + energy
    s = np.linspace(max(1e-6 * middle, middle - WIDTH * spread), middle + WIDTH * spread, GRID)
    survival = law.sf(s)
    weight = law.pdf(s) * survival ** (k - 1)
    weight /= weight.sum()
    concentration = length * np.sqrt(s)
    cosine = bessel_ratio(dimension, concentration)
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = np.where(concentration > 1e-8, 1 - (dimension - 1) * cosine / concentration, 1 / dimension)
    a = length - np.sqrt(s) * cosine  # E[a | S]
    a_squared = length**2 - 2 * length * np.sqrt(s) * cosine + s * squared  # E[a² | S]
    shift = s - energy  # ‖n‖² = shift + 2‖y‖a
    mean, second = float((weight * a).sum()), float((weight * a_squared).sum())
    norm = float((weight * (shift + 2 * length * a)).sum())
    norm_squared = float((weight * (shift**2 + 4 * length * shift * a + 4 * energy * a_squared)).sum())
    mixed = float((weight * (shift * a + 2 * length * a_squared)).sum())
    return mean, second - mean**2, norm, norm_squared - norm**2, mixed - mean * norm


def bessel_ratio(dimension: int, concentration: Floats) -> Floats:
    """E[cos θ] of the von Mises–Fisher law on the sphere in `dimension` ≥ 2: I_{D/2}(κ) / I_{D/2−1}(κ).

    By its continued fraction, from the bound of Amos (1974) far out; right to rounding for any D and κ.
    """
    order = dimension / 2 - 1
    steps = 40 + int(2 * np.sqrt(float(concentration.max(initial=0.0))))
    far = order + steps
    ratio = concentration / (far + 0.5 + np.sqrt((far + 1.5) ** 2 + concentration**2))
    for step in range(steps, 0, -1):
        ratio = concentration / (2 * (order + step) + concentration * ratio)
    return np.asarray(ratio)
