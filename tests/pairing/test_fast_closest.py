"""What makes the closest of many candidates cheap: how many fire, how many survive, in what shapes."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from immiscible_diffusion.pairing import closest

DIMENSIONS = (1, 2, 3, 10, 112, 3072, 3_000_000)
ENERGIES = (0, 0.01, 1, 4, 20, 100, 1000, 1e5, 1e40)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def least_distance_cdf(count: int, dimension: int, norm: float) -> Callable[[np.ndarray], np.ndarray]:
    def cdf(square: np.ndarray) -> np.ndarray:
        return -np.expm1(count * np.log1p(-stats.ncx2.cdf(square, dimension, norm**2)))

    return cdf


def expected_survivors(count: int, firing: float) -> list[float]:
    """count · P(s < t) for every dimension and ‖x‖²."""
    grid = list(itertools.product(DIMENSIONS, ENERGIES))
    dimensions, energies = torch.tensor(grid, dtype=torch.float64).T
    _, thresholds, log_firing = closest._tilting(count, energies.sqrt(), dimensions, firing)
    assert count * math.exp(log_firing) == pytest.approx(firing)
    found = []
    for (dimension, energy), threshold in zip(grid, thresholds.tolist(), strict=True):
        if energy > 1e4:  # Gaussian, and scipy's noncentral χ² gives up
            low = stats.norm.cdf((threshold - dimension) / math.sqrt(2 * dimension + 4 * energy))
        elif energy:
            low = stats.ncx2.cdf(threshold + energy, dimension, energy)
        else:
            low = stats.chi2.cdf(threshold, dimension)
        found.append(count * float(low))
    return found


@pytest.mark.parametrize("count", [641, 1000, 2241, 4095, 30_000, 10**6, 10**9])
def test_in_fixed_shapes_no_row_in_10_to_the_16_is_left_without_a_survivor(count: int) -> None:
    assert min(expected_survivors(count, closest.FIRING_STATIC)) > 16 * math.log(10)


@pytest.mark.parametrize("count", [25, 63, 144, 193, 4095, 10**6])
def test_one_by_one_drawing_stays_rare(count: int) -> None:
    survivors = expected_survivors(count, min(closest.FIRING, closest.SHARE * count))
    assert min(survivors) > (2.5 if count < 63 else 4)


@pytest.mark.parametrize("count", [641, 4095, 10**6])
def test_slots_hold_all_that_fire(count: int) -> None:
    slots = closest._slots(count, closest.FIRING_STATIC)
    assert stats.binom.sf(slots, count, closest.FIRING_STATIC / count) < 1e-16
    assert slots < 2 * closest.FIRING_STATIC


@pytest.mark.parametrize("count", [7, 640, 641, 4095])
def test_fixed_shapes_keep_the_law(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    monkeypatch.setattr(closest, "_closest_above", None)  # must not be needed
    full = torch.ones(2000, dtype=torch.float64)
    for dimension, norm in ((2, 1.0), (16, 3.0), (3072, 28.0)):
        a, c = closest.closest_candidate(count, norm * full, dimension * full, seeded(count))
        squares = ((norm - a).square() + c).numpy()
        assert stats.kstest(squares, least_distance_cdf(count, dimension, norm)).pvalue > 1e-3 / 12


def test_candidates_of_different_rows_are_not_mixed_up() -> None:
    """Rows are packed one after another; each must get a winner drawn for its own norm and dimension."""
    norms = torch.tensor([0.5, 40.0, 3.0], dtype=torch.float64).repeat(1500)
    dimensions = torch.tensor([2.0, 16.0, 3072.0], dtype=torch.float64).repeat(1500)
    a, c = closest.closest_candidate(300, norms, dimensions, seeded(1))
    squares = (norms - a).square() + c
    for index in range(3):
        law = least_distance_cdf(300, int(dimensions[index]), float(norms[index]))
        assert stats.kstest(squares[index::3].numpy(), law).pvalue > 1e-3 / 3
