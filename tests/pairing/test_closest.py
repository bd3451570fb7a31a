"""The closest of many candidates against closed forms, brute force and a forced rare path."""

import numpy as np
import pytest
import torch
from scipy import stats
from tests.pairing.algorithm_1 import least_distance_cdf, winners_of_k

from immiscible_diffusion.pairing import closest

FAMILY_ERROR = 1e-3
COUNTS = sorted({1, 7, 96, 97, 200, 4096, closest.DIRECT, closest.DIRECT + 1})
SHAPES = ((1, 0.0), (1, 2.0), (2, 0.1), (16, 0.0), (16, 3.0), (112, 1.0), (3072, 28.0))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("count", COUNTS)
def test_least_distance_has_its_closed_form(count: int) -> None:
    rows = 5000
    norms = torch.tensor([norm for _, norm in SHAPES], dtype=torch.float64)
    dimensions = torch.tensor([dimension for dimension, _ in SHAPES], dtype=torch.float64)
    a, c = closest.closest_candidate(count, norms.repeat(rows), dimensions.repeat(rows), seeded(count))
    squares = (norms.repeat(rows) - a).square() + c
    for index, (dimension, norm) in enumerate(SHAPES):
        sample = squares[index :: len(SHAPES)].numpy()
        p = stats.kstest(sample, least_distance_cdf(count, dimension, norm)).pvalue
        assert p > FAMILY_ERROR / (len(COUNTS) * len(SHAPES)), (dimension, norm, p)


def test_a_million_candidates_keep_their_law() -> None:
    full = torch.ones(5000, dtype=torch.float64)
    a, c = closest.closest_candidate(1_000_000, 3 * full, 16 * full, seeded(1))
    squares = ((3 - a).square() + c).numpy()
    assert stats.kstest(squares, least_distance_cdf(1_000_000, 16, 3.0)).pvalue > FAMILY_ERROR


@pytest.mark.parametrize("firing", [1, 2, 5])
@pytest.mark.parametrize(("dimension", "norm"), [(1, 0.0), (2, 1.0), (16, 3.0)])
def test_few_firing_candidates_leave_the_law_as_it_is(
    firing: int, dimension: int, norm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With so few that many rows have no survivor, most of the work falls to `_closest_above`."""
    calls = []
    above = closest._closest_above

    def counted(count: int, norm: torch.Tensor, *rest):
        calls.append(len(norm))
        return above(count, norm, *rest)

    monkeypatch.setattr(closest, "FIRING", firing)
    monkeypatch.setattr(closest, "DIRECT", 0)
    monkeypatch.setattr(closest, "_closest_above", counted)
    rows, count = 3000, 150
    full = torch.ones(rows, dtype=torch.float64)
    a, c = closest.closest_candidate(count, norm * full, dimension * full, seeded(1))
    assert sum(calls) > 100  # of 3,000 rows; at the real FIRING one in 10^5
    reference_a, reference_c = winners_of_k(
        np.full(rows, norm), dimension, count, np.random.default_rng(dimension)
    )
    for one, other in [
        (a.numpy(), reference_a),
        (c.numpy(), reference_c),
        (((norm - a) ** 2 + c).numpy(), (norm - reference_a) ** 2 + reference_c),
    ]:
        assert stats.ks_2samp(one, other).pvalue > FAMILY_ERROR / 27


@pytest.mark.parametrize("count", [1, 40, 20_000])
def test_closest_above_has_its_closed_form(count: int) -> None:
    """Of `count` candidates that score the threshold or more; 20,000 take several rounds of drawing."""
    rows, dimension, norm, threshold = 500, 5, 1.5, 2.0
    full = torch.ones(rows, dtype=torch.float64)
    a, c = closest._closest_above(count, norm * full, dimension * full, threshold * full, seeded(count))
    score = (a.square() + c - 2 * norm * a).numpy()

    def log_above(value: float | np.ndarray) -> np.ndarray:
        return stats.ncx2.logsf(value + norm**2, dimension, norm**2)

    def cdf(value: np.ndarray) -> np.ndarray:
        return -np.expm1(count * (log_above(value) - log_above(threshold)))

    assert score.min() >= threshold
    assert stats.kstest(score, cdf).pvalue > FAMILY_ERROR / 3


@pytest.mark.parametrize("count", [1, 3, 40])
def test_closest_above_against_brute_force(count: int) -> None:
    """The least of candidates that all score the threshold or more: here the others are thrown away."""
    rows, dimension, norm, threshold = 1000, 5, 1.5, 2.0
    full = torch.ones(rows, dtype=torch.float64)
    a, c = closest._closest_above(count, norm * full, dimension * full, threshold * full, seeded(2))
    score = (a.square() + c - 2 * norm * a).numpy()
    assert score.min() >= threshold
    random = np.random.default_rng(3)
    pool_a = random.standard_normal(2_000_000)
    pool_c = random.chisquare(dimension - 1, pool_a.shape)
    pool = pool_a**2 + pool_c - 2 * norm * pool_a
    above = np.flatnonzero(pool >= threshold)
    groups = above[: len(above) // count * count].reshape(-1, count)[: 4 * rows]
    winners = groups[np.arange(len(groups)), pool[groups].argmin(axis=1)]
    for one, other in [(score, pool[winners]), (a.numpy(), pool_a[winners]), (c.numpy(), pool_c[winners])]:
        assert stats.ks_2samp(one, other).pvalue > FAMILY_ERROR / 9


@pytest.mark.parametrize("dimension", [1, 2, 16, 3072, 3_000_000])
@pytest.mark.parametrize("norm", [0.0, 1e-3, 30.0, 1e4, 1e20])
def test_some_candidates_always_fire_and_never_many(
    dimension: int, norm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None firing in any row has no candidate to return; many would cost what they were to save."""
    expected: list[float] = []
    binomial = torch.binomial

    def recorded(count: torch.Tensor, prob: torch.Tensor, **options):
        assert ((prob > 0) & (prob <= 1)).all()
        expected.extend((count * prob).tolist())
        return binomial(count, prob, **options)

    monkeypatch.setattr(torch, "binomial", recorded)
    one = torch.ones(1, dtype=torch.float64)
    for count in (200, 1000, 4095):
        found = closest.closest_candidate(count, norm * one, dimension * one, seeded(1))
        assert torch.isfinite(torch.cat(found)).all()
    assert len(expected) == 3
    assert min(expected) > 40 and max(expected) < 200
