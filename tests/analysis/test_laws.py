"""The winner's moments against winners, and against scipy where it knows them."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from tests.pairing.algorithm_1 import winners_of_k

from immiscible_diffusion.analysis.laws import (
    bessel_ratio,
    choice_information,
    expected_distance,
    expected_norm,
    winner_moments,
)

COUNT = 40_000


def largest_of_k(
    lengths: np.ndarray, dimension: int, k: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    a = np.sqrt(2) * scipy.special.erfinv(2 * random.random(len(lengths)) ** (1 / k) - 1)
    return a, random.chisquare(dimension - 1, len(lengths))


@pytest.mark.parametrize(
    ("rule", "dimension", "length", "k"),
    [
        ("l2", 3072, 27.0, 8),
        ("l2", 64, 6.0, 256),
        ("l2", 4, 1.0, 3),
        ("l2", 64, 0.0, 8),
        ("dot", 64, 6.0, 8),
        ("dot", 3072, 55.0, 64),
    ],
)
def test_moments_and_distances_are_of_winners(rule: str, dimension: int, length: float, k: int) -> None:
    """Also for an image that the noise was not chosen against: 0.6 of it lies across."""
    random = np.random.default_rng(k)
    lengths = np.full(COUNT, length)
    draw = winners_of_k if rule == "l2" else largest_of_k
    a, c = draw(lengths, dimension, k, random)
    energy = a**2 + c
    moments = winner_moments(k, rule, np.array([length]), dimension)  # type: ignore[arg-type]
    for expected, values in (
        (moments.projection[0], a),
        (moments.energy[0], energy),
        (moments.projection_variance[0], (a - a.mean()) ** 2),
        (moments.energy_variance[0], (energy - energy.mean()) ** 2),
        (moments.covariance[0], (a - a.mean()) * (energy - energy.mean())),
        (expected_norm(moments)[0], np.sqrt(energy)),
    ):
        # The norm's law is taken for a gamma law: 1/(32 D²) of it is the price.
        assert values.mean() == pytest.approx(
            expected, abs=4.5 * values.std() / COUNT**0.5 + abs(expected) / (8 * dimension**2)
        )
    along, across = 0.8 * length, 0.6 * length
    sideways = random.standard_normal(COUNT)
    cosine = sideways / np.sqrt(sideways**2 + random.chisquare(dimension - 2, COUNT))
    measured = np.sqrt((along - a) ** 2 + across**2 + c - 2 * across * np.sqrt(c) * cosine)
    expected = expected_distance(moments, np.array([along]), np.array([length**2]), dimension)[0]
    error = measured.std() / COUNT**0.5
    assert measured.mean() == pytest.approx(expected, abs=4.5 * error + expected / (8 * dimension**2))


def test_interpolation_over_lengths_is_as_good_as_the_integral() -> None:
    lengths = np.random.default_rng(0).uniform(10, 60, 50)
    together = winner_moments(64, "l2", lengths, 3072)
    for index, length in enumerate(lengths[:6]):
        alone = winner_moments(64, "l2", np.array([length]), 3072)
        assert together.projection[index] == pytest.approx(alone.projection[0], rel=1e-6)
        assert together.energy_variance[index] == pytest.approx(alone.energy_variance[0], rel=1e-5)


def test_one_candidate_is_plain_noise() -> None:
    for rule in ("l2", "dot"):
        moments = winner_moments(1, rule, np.array([3.0, 5.0]), 64)  # type: ignore[arg-type]
        assert np.allclose(moments.projection, 0, atol=1e-9) and np.allclose(moments.energy, 64)
        assert np.allclose(expected_norm(moments), scipy.stats.chi(64).mean())


def test_cosine_of_the_sphere_is_a_ratio_of_bessel_functions() -> None:
    concentration = np.array([0.5, 40.0, 700.0])
    expected = scipy.special.ive(32, concentration) / scipy.special.ive(31, concentration)
    assert np.allclose(bessel_ratio(64, concentration), expected, rtol=1e-12)
    assert bessel_ratio(64, np.zeros(1)) == 0


def test_choosing_spends_what_the_best_of_k_is_known_to() -> None:
    """The winner's density over a candidate's is k u^(k−1), u being the winner's quantile."""
    uniform = np.random.default_rng(1).random(200_000) ** (1 / 8)
    assert np.log(8 * uniform**7).mean() == pytest.approx(choice_information(8), abs=0.01)
    assert choice_information(1) == 0
