"""Nearest beyond its distribution: k = 1, centring, precision at size, configuration."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from immiscible_diffusion.pairing import Independent, Nearest
from immiscible_diffusion.pairing.checks import LONG_ROW, row_norms

HYPOTHESIS = settings(deadline=None, derandomize=True, max_examples=60, database=None)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def standard_score(clean: Tensor, noise: Tensor) -> Tensor:
    """‖x − n‖² of every row, in the standard deviations that it has for independent noise."""
    clean, noise = clean.double().flatten(1), noise.double().flatten(1)
    energy, dimension = clean.square().sum(1), clean.shape[1]
    score = (clean - noise).square().sum(1) - energy - dimension
    return score / (2 * dimension + 4 * energy).sqrt()


@HYPOTHESIS
@given(
    shape=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    rule=st.sampled_from(["l2", "dot"]),
    k=st.sampled_from([1, 1.0]),
    centre=st.sampled_from([None, torch.tensor(0.5)]),
    seed=st.integers(0, 2**40),
)
def test_one_candidate_is_independent_noise_bit_for_bit(
    shape: list[int], dtype: torch.dtype, rule: str, k: float, centre: Tensor | None, seed: int
) -> None:
    clean = torch.randn(shape, generator=seeded(0)).to(dtype)
    one, other = seeded(seed), seeded(seed)
    noise = Nearest(k=k, rule=rule, centre=centre)(clean, generator=one)
    assert torch.equal(noise, Independent()(clean, generator=other))
    assert torch.equal(one.get_state(), other.get_state())


@pytest.mark.parametrize("shape", [(16, 3, 5, 5), (16, 3, 2, 2)])
@pytest.mark.parametrize(("k", "rule"), [(8, "l2"), (200, "l2"), (8, "dot")])
def test_a_centre_is_subtracted_before_choosing_and_only_there(
    shape: tuple[int, ...], k: int, rule: str
) -> None:
    clean = torch.randn(shape, generator=seeded(1)) + 2
    whole = torch.randn(shape[1:], generator=seeded(2))
    for centre, subtracted in [
        (whole, whole),
        (whole.double(), whole),
        (whole.clone().requires_grad_(), whole),
        (whole[:, :1, :1], whole[:, :1, :1]),
        (torch.tensor(2.0), torch.tensor(2.0)),
        ("batch", clean.mean(dim=0)),
    ]:
        noise = Nearest(k=k, rule=rule, centre=centre)(clean, generator=seeded(3))
        expected = Nearest(k=k, rule=rule)(clean - subtracted.detach(), generator=seeded(3))
        torch.testing.assert_close(noise, expected, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(noise, Nearest(k=k, rule=rule)(clean, generator=seeded(3)), atol=1e-3)


def test_padding_stays_out_of_the_choice_when_it_is_centred() -> None:
    clean = torch.randn((6, 5, 20), generator=seeded(1)) + 2
    centre = torch.randn((5, 20), generator=seeded(2))
    mask = torch.rand((6, 5), generator=seeded(3)) < 0.6
    torch.testing.assert_close(
        Nearest(centre=centre)(clean, generator=seeded(4), mask=mask),
        Nearest()(clean - centre, generator=seeded(4), mask=mask),
    )


def test_batch_centre_averages_only_what_counts() -> None:
    clean = torch.randn((6, 5, 3), generator=seeded(1)) + 2
    mask = torch.rand((6, 5), generator=seeded(2)) < 0.6
    counts = mask[..., None].double()
    mean = (clean * counts).sum(0) / counts.sum(0).clamp(min=1)
    torch.testing.assert_close(
        Nearest(centre="batch")(clean, generator=seeded(3), mask=mask),
        Nearest(centre=mean)(clean, generator=seeded(3), mask=mask),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_images_come_as_near_as_float32_ones_at_video_size(dtype: torch.dtype) -> None:
    """64 candidates move an element by 0.001 here, far less than bfloat16 can show of a rounded noise."""
    clean = torch.randn((2, 3, 16, 256, 256), generator=seeded(1)).to(dtype)  # 3.1 million elements
    full = standard_score(clean, Nearest(k=64)(clean.float(), generator=seeded(2)))
    half = standard_score(clean, Nearest(k=64)(clean, generator=seeded(2)))
    # The least of 64 standard normals; it leaves this range twice in 100,000 rows.
    assert ((full > -5) & (full < -0.8)).all()
    torch.testing.assert_close(half, full, rtol=0, atol=0.03)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_half_precision_picks_no_worse_candidate_at_latent_size(dtype: torch.dtype, scale: float) -> None:
    clean = (scale * torch.randn((8, 4, 128, 128), generator=seeded(1))).to(dtype)
    full = standard_score(clean, Nearest(k=64)(clean.float(), generator=seeded(2)))
    half = standard_score(clean, Nearest(k=64)(clean, generator=seeded(2)))
    torch.testing.assert_close(half, full, rtol=0, atol=0.03)


def test_norms_of_long_rows_are_exact_enough_to_choose_by() -> None:
    """A 10-million element noise varies by 4e-4 in its squared norm; one float32 sum drifts by more."""
    rows = torch.randn((1, 10_000_000), generator=seeded(1))
    exact = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64)
    assert abs(float(row_norms(rows).double() / exact) - 1) < 1e-6


@pytest.mark.parametrize("length", [0, 1, LONG_ROW - 1, LONG_ROW, LONG_ROW + 1, 3 * LONG_ROW + 7])
def test_norms_of_rows_of_any_length(length: int) -> None:
    rows = torch.randn((3, length), generator=seeded(1))
    torch.testing.assert_close(row_norms(rows), rows.double().norm(dim=1).float())


def test_float32_images_of_video_length_follow_the_law_of_the_least() -> None:
    clean = torch.randn((1, 3, 16, 512, 512), generator=seeded(1))  # 12.6 million elements
    score = float(standard_score(clean, Nearest(k=4096)(clean, generator=seeded(2))))
    assert -6 < score < -2.4  # the least of 4,096 standard normals; outside once in 10,000 rows


@pytest.mark.parametrize("k", [2, 8, 64, 300])
def test_more_candidates_come_nearer_by_what_theory_says(k: int) -> None:
    """At this length the score is all but normal: its mean is that of the least of k normals."""
    clean = torch.randn((2000, 3072), generator=seeded(1))
    scores = standard_score(clean, Nearest(k=k)(clean, generator=seeded(k)))
    least = np.random.default_rng(k).standard_normal((20_000, k)).min(axis=1)
    error = math.sqrt(float(scores.var()) / 2000 + least.var() / 20_000)
    # 0.02: what skewness, 0.03 here, moves the least of 300 by.
    assert abs(float(scores.mean()) - least.mean()) < 4.5 * error + 0.02 * abs(least.mean())


@pytest.mark.parametrize("rule", ["l2", "dot"])
def test_images_of_nothing_get_noise_without_a_preferred_direction(rule: str) -> None:
    noise = Nearest(k=16, rule=rule)(torch.zeros(4000, 5), generator=seeded(2))
    assert torch.isfinite(noise).all()
    assert noise.mean(0).abs().max() < 4.5 / math.sqrt(4000)
    if rule == "dot":
        assert torch.equal(noise, Independent()(torch.zeros(4000, 5), generator=seeded(2)))


def test_configuration_is_readable_and_hashable() -> None:
    assert repr(Nearest()) == "Nearest(k=8, rule='l2', centre=None)"
    assert repr(Nearest(k=1.5, rule="dot", centre="batch")) == "Nearest(k=1.5, rule='dot', centre='batch')"
    assert repr(Nearest(centre=torch.zeros(3, 1, 1))) == "Nearest(k=8, rule='l2', centre=tensor[3, 1, 1])"
    assert len({Nearest(), Nearest(centre=torch.zeros(3))}) == 2
