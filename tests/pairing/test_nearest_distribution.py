"""Nearest against Algorithm 1: the same distribution, whatever the dimension, the image's length and k.

Two-sample Kolmogorov-Smirnov tests on fixed seeds. Each family of tests divides `FAMILY_ERROR` by their
number: were the seeds fresh, a correct program would fail any test of a family once in 1,000 runs.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from tests.pairing.algorithm_1 import least_distance_cdf, nearest_of_k, winners_of_k
from torch import Tensor

from immiscible_diffusion.pairing import Independent, Nearest
from immiscible_diffusion.pairing.closest import DIRECT

FAMILY_ERROR = 1e-3
DIMENSIONS = (1, 2, 16, 3072)
# Those by DIRECT are where closest.py goes from drawing every candidate to drawing the likely ones.
CANDIDATES = sorted({1, 2, 8, 64, 97, 98, 200, 4096, DIRECT + 1, DIRECT + 2})
NORMS = {
    "zero": lambda dimension: 0.0,
    "1e-20": lambda dimension: 1e-20,
    "1e-3": lambda dimension: 1e-3,
    "typical": lambda dimension: 0.5 * math.sqrt(dimension),
    "1e4": lambda dimension: 1e4,
    "1e20": lambda dimension: 1e20,
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def direction_of(dimension: int, seed: int = 5) -> Tensor:
    """A fixed direction with no zero in it; float64 [D]."""
    direction = torch.randn(dimension, dtype=torch.float64, generator=seeded(seed))
    return direction / direction.norm()


def observed(noise: Tensor, norm: float, direction: Tensor) -> dict[str, np.ndarray]:
    """What the tests look at, in float64: along the image, in length, in distance and across the image."""
    rows = noise.double().flatten(1)
    a = rows @ direction
    square = rows.square().sum(1)
    # ‖x‖² is left out of the squared distance: beside 1e40 nothing else could be seen.
    seen = {"projection": a, "squared norm": square, "distance": square - 2 * norm * a}
    if len(direction) > 1:
        other = direction_of(len(direction), seed=6)
        other = other - (other @ direction) * direction
        seen["perpendicular"] = rows @ (other / other.norm())
    return {name: values.numpy() for name, values in seen.items()}


def expected(a: np.ndarray, c: np.ndarray, norm: float, dimension: int, random: np.random.Generator):
    """The same from (a, c): across the image, the rest points anywhere."""
    seen = {"projection": a, "squared norm": a**2 + c, "distance": a**2 + c - 2 * norm * a}
    if dimension > 1:
        one = random.standard_normal(len(a))
        rest = random.chisquare(dimension - 2, len(a)) if dimension > 2 else 0.0
        seen["perpendicular"] = np.sqrt(c) * one / np.sqrt(one**2 + rest)
    return seen


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray], family: int) -> None:
    assert one.keys() == other.keys()
    for name in one:
        p = stats.ks_2samp(one[name], other[name]).pvalue
        assert p > FAMILY_ERROR / family, f"{name}: p = {p:.2g}"


GRID = [(dimension, norm, k) for dimension in DIMENSIONS for norm in NORMS for k in CANDIDATES]


@pytest.mark.parametrize(("dimension", "norm_name", "k"), GRID)
def test_equals_algorithm_1_in_distribution(dimension: int, norm_name: str, k: int) -> None:
    rows = 1000 if dimension == 3072 else 2000 if k == 4096 else 4000
    norm, direction = NORMS[norm_name](dimension), direction_of(dimension)
    clean = (norm * direction).float().expand(rows, dimension)
    noise = Nearest(k=k)(clean, generator=seeded(k + dimension))
    random = np.random.default_rng([k, dimension])
    a, c = winners_of_k(np.full(rows, norm), dimension, k, random)
    assert noise.dtype == torch.float32
    assert_same(
        observed(noise, norm, direction), expected(a, c, norm, dimension, random), family=4 * len(GRID)
    )


EXACT = [
    (dimension, norm, k) for dimension in (1, 2, 5, 16) for norm in (0.0, 1e-3, 1.0, 4.0) for k in (2, 3, 8)
]


@pytest.mark.parametrize(("dimension", "norm", "k"), EXACT)
def test_least_distance_has_its_closed_form(dimension: int, norm: float, k: int) -> None:
    """More rows than two samples would allow: at 40,000 a hundredth in the distribution function shows."""
    clean = (norm * direction_of(dimension)).expand(40_000, dimension)
    noise = Nearest(k=k)(clean, generator=seeded(k + dimension))
    squares = (clean - noise).square().sum(1).numpy()
    p = stats.kstest(squares, least_distance_cdf(k, dimension, norm)).pvalue
    assert p > FAMILY_ERROR / len(EXACT)


LITERAL = [
    (1, "zero", 8, 4000),
    (1, "typical", 64, 4000),
    (2, "1e-3", 8, 4000),
    (2, "typical", 98, 4000),
    (16, "zero", 64, 4000),
    (16, "typical", 8, 4000),
    (16, "1e4", 64, 4000),
    (16, "typical", 200, 2000),
    (16, "typical", 4096, 200),
    (3072, "typical", 2, 1000),
    (3072, "typical", 64, 100),
]


@pytest.mark.parametrize(("dimension", "norm_name", "k", "rows"), LITERAL)
def test_equals_the_literal_algorithm_and_so_does_its_reduction(
    dimension: int, norm_name: str, k: int, rows: int
) -> None:
    norm, direction = NORMS[norm_name](dimension), direction_of(dimension)
    clean = (norm * direction).expand(rows, dimension)
    literal = observed(nearest_of_k(clean, k, generator=seeded(1), at_once=64), norm, direction)
    random = np.random.default_rng(2)
    a, c = winners_of_k(np.full(rows, norm), dimension, k, random)
    family = 8 * len(LITERAL)
    assert_same(literal, expected(a, c, norm, dimension, random), family)
    assert_same(literal, observed(Nearest(k=k)(clean, generator=seeded(3)), norm, direction), family)


def test_rows_of_different_images_follow_their_own_law() -> None:
    """Images of several lengths in one batch: a row that took another's numbers would show."""
    norms, rows, dimension = (0.0, 0.5, 3.0, 40.0), 3000, 12
    direction = direction_of(dimension)
    clean = (torch.tensor(norms, dtype=torch.float64).repeat(rows)[:, None] * direction).view(-1, 3, 4)
    noise = Nearest(k=130)(clean, generator=seeded(8))
    random = np.random.default_rng(9)
    for index, norm in enumerate(norms):
        a, c = winners_of_k(np.full(rows, norm), dimension, 130, random)
        assert_same(
            observed(noise[index :: len(norms)], norm, direction),
            expected(a, c, norm, dimension, random),
            family=4 * len(norms),
        )


@pytest.mark.parametrize(("k", "rule"), [(8, "l2"), (300, "l2"), (8, "dot")])
def test_rows_are_independent_of_each_other(k: int, rule: str) -> None:
    clean = direction_of(9).repeat(2, 1) * 3
    generator = seeded(4)
    pairs = torch.stack([Nearest(k=k, rule=rule)(clean, generator=generator) for _ in range(1500)])
    for statistic in (pairs @ direction_of(9), pairs.square().sum(2), pairs[:, :, 0]):
        correlation = np.corrcoef(statistic.T.numpy())[0, 1]
        assert abs(correlation) < 4.5 / math.sqrt(1500)  # p < 1e-5


@pytest.mark.parametrize("k", [2, 8, 97, 98, 300])
def test_the_first_draw_is_one_of_the_candidates(k: int) -> None:
    """With probability 1/k the noise that Independent would give is itself the nearest, and stays."""
    rows = 6000
    clean = direction_of(80).float().expand(rows, 80) * 4
    stays = torch.isclose(
        Nearest(k=k)(clean, generator=seeded(k)), Independent()(clean, generator=seeded(k)), atol=1e-5
    ).all(dim=1)
    assert stats.binomtest(int(stays.sum()), rows, 1 / k).pvalue > FAMILY_ERROR / 5


@pytest.mark.parametrize("k", [5, 200])
def test_masked_choice_is_the_choice_on_the_unpadded_image(k: int) -> None:
    """Padding of any value changes nothing for what counts, and gets Gaussian noise of its own."""
    rows, tokens, channels, kept = 4000, 5, 3, 3
    direction = direction_of(kept * channels)
    clean = torch.full((rows, tokens, channels), 1e6)
    clean[:, :kept] = (2 * direction).view(kept, channels)
    mask = (torch.arange(tokens) < kept).expand(rows, tokens)
    noise = Nearest(k=k)(clean, generator=seeded(k), mask=mask)
    random = np.random.default_rng(k)
    a, c = winners_of_k(np.full(rows, 2.0), kept * channels, k, random)
    family = 2 * (4 + 2 * channels * 2 + 1)
    assert_same(
        observed(noise[:, :kept], 2.0, direction), expected(a, c, 2.0, kept * channels, random), family
    )
    for element in noise[:, kept:].flatten(1).T:
        assert stats.kstest(element.numpy(), "norm").pvalue > FAMILY_ERROR / family
    padding = noise[:, kept:].flatten(1).sum(1).numpy()
    along = noise[:, :kept].flatten(1).double() @ direction
    assert stats.pearsonr(padding, along.numpy()).pvalue > FAMILY_ERROR / family


def test_each_row_is_masked_by_its_own_mask() -> None:
    rows, dimension, k = 3000, 8, 40
    counts = np.array([1, 3, 8])
    mask = torch.arange(dimension) < torch.from_numpy(np.tile(counts, rows))[:, None]
    clean = torch.full((3 * rows, dimension), 1.5)
    noise = Nearest(k=k)(clean, generator=seeded(3), mask=mask)
    literal = nearest_of_k(clean.double(), k, generator=seeded(4), mask=mask)
    for index, count in enumerate(counts):
        direction = torch.full((count,), 1 / math.sqrt(count), dtype=torch.float64)
        norm = 1.5 * math.sqrt(count)
        one, other = (observed(n[index::3, :count], norm, direction) for n in (noise, literal))
        assert_same(one, other, family=4 * len(counts))


@pytest.mark.parametrize("k", [1.5, 2, 8, 4096, 1e15])
def test_dot_draws_the_largest_projection_and_nothing_else(k: float) -> None:
    """The largest of k projections has distribution Φ(a)^k, also between whole numbers."""
    rows, dimension = 20_000, 16
    direction = direction_of(dimension)
    clean = (0.7 * direction).expand(rows, dimension)
    noise = Nearest(k=k, rule="dot")(clean, generator=seeded(11))
    plain = Independent()(clean, generator=seeded(11))
    a = (noise @ direction).numpy()
    # 1 - Φ(a)^k in logarithms: Φ(a)^k itself is all ones for large k.
    assert stats.kstest(a, lambda x: np.exp(k * stats.norm.logcdf(x))).pvalue > FAMILY_ERROR / 10
    across = noise - (noise @ direction)[:, None] * direction
    plain_across = plain - (plain @ direction)[:, None] * direction
    torch.testing.assert_close(across, plain_across, rtol=0, atol=1e-12)
    # What is across was left alone, so it must not know what was chosen along.
    assert stats.spearmanr(a, across.square().sum(1).numpy()).pvalue > FAMILY_ERROR / 10


def test_dot_keeps_a_normal_left_tail() -> None:
    """k just above 1 is plain noise, tails included: 1 − U^(1/k) and U^(1/k) both lose digits somewhere."""
    clean = direction_of(4).expand(200_000, 4)
    a = (Nearest(k=1 + 1e-9, rule="dot")(clean, generator=seeded(2)) @ direction_of(4)).numpy()
    assert np.isfinite(a).all() and a.min() < -4 and a.max() > 4
    assert stats.kstest(a, "norm").pvalue > FAMILY_ERROR


def test_dot_leaves_the_length_across_the_image_gaussian_where_l2_shortens_it() -> None:
    clean = direction_of(112).expand(4000, 112) * 5
    squares = {}
    for rule in ("l2", "dot"):
        noise = Nearest(k=64, rule=rule)(clean, generator=seeded(1))
        across = noise - (noise @ direction_of(112))[:, None] * direction_of(112)
        squares[rule] = across.square().sum(1).numpy()
    assert stats.kstest(squares["dot"], "chi2", args=(111,)).pvalue > FAMILY_ERROR
    assert squares["l2"].mean() < 105  # E = 111 without a choice, standard error 0.24


@pytest.mark.parametrize("rule", ["l2", "dot"])
def test_images_that_share_a_mean_pull_the_noise_along_it_unless_centred(rule: str) -> None:
    rows, shape = 6000, (3, 4, 4)
    mean = torch.randn(shape, generator=seeded(1))
    clean = mean + 0.3 * torch.randn((rows, *shape), generator=seeded(2))
    limit = 4.5 / math.sqrt(rows)  # p < 1e-5 for a mean of unit variance

    def along_mean(centre: Tensor | str | None) -> float:
        noise = Nearest(k=8, rule=rule, centre=centre)(clean, generator=seeded(3))
        return float(noise.mean(0).flatten() @ mean.flatten() / mean.norm())

    assert along_mean(None) > 10 * limit
    assert abs(along_mean(mean)) < limit
    assert abs(along_mean("batch")) < limit
