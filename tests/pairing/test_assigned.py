"""Assigned: one Gaussian draw, permuted to the least total squared distance."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

from immiscible_diffusion.pairing import Assigned, Independent, assign

HYPOTHESIS = settings(deadline=None, derandomize=True, max_examples=100, database=None)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def squared_distances(clean: Tensor, noise: Tensor, mask: Tensor | None = None) -> np.ndarray:
    """All ‖xᵢ − nⱼ‖² in float64, over what counts in row i."""
    if mask is None:
        return cdist(clean.double().flatten(1).numpy(), noise.double().flatten(1).numpy(), "sqeuclidean")
    weights = mask.reshape(mask.shape + (1,) * (clean.ndim - mask.ndim)).expand(clean.shape).double()
    differences = clean.double()[:, None] - noise.double()[None]  # [B, B, ...]
    return (differences.square() * weights[:, None]).flatten(2).sum(2).numpy()


def assert_optimal(indices: Tensor, cost: np.ndarray, tolerance: float) -> None:
    assert indices.dtype == torch.int64
    assert sorted(indices.tolist()) == list(range(len(cost)))
    total = cost[np.arange(len(cost)), indices.numpy()].sum()
    assert total <= cost[linear_sum_assignment(cost)].sum() * (1 + tolerance) + tolerance


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(64, 3, 8, 8), (200, 2), (50, 16, 7), (30, 3, 32, 32)])
def test_total_squared_distance_is_the_optimum(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    clean = torch.randn(shape, generator=seeded(1)).to(dtype)
    noise = Assigned()(clean, generator=seeded(2))
    plain = Independent()(clean, generator=seeded(2))
    cost = squared_distances(clean, plain)
    assert_optimal(assign(clean, plain), cost, 1e-7)
    paired = (clean.double() - noise.double()).square().sum()
    assert float(paired) == pytest.approx(cost[linear_sum_assignment(cost)].sum(), rel=1e-7)
    assert float(paired) < np.trace(cost)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_rows_are_those_of_independent_reordered(dtype: torch.dtype) -> None:
    clean = torch.randn((40, 3, 8, 8), generator=seeded(1)).to(dtype)
    one, other = seeded(2), seeded(2)
    noise, plain = Assigned()(clean, generator=one), Independent()(clean, generator=other)
    assert sorted(noise.flatten(1).tolist()) == sorted(plain.flatten(1).tolist())
    assert not torch.equal(noise, plain)
    assert torch.equal(noise, plain[assign(clean, plain)])
    assert torch.equal(one.get_state(), other.get_state())


@HYPOTHESIS
@given(
    rows=st.integers(0, 6),
    elements=st.integers(1, 4),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
    masked=st.booleans(),
    seed=st.integers(0, 2**40),
)
def test_no_permutation_does_better(rows: int, elements: int, scale: float, masked: bool, seed: int) -> None:
    generator = seeded(seed)
    clean = scale * torch.randn((rows, elements, 2), generator=generator)
    noise = torch.randn((rows, elements, 2), generator=generator)
    mask = torch.rand((rows, elements), generator=generator) < 0.6 if masked else None
    cost = squared_distances(clean, noise, mask)
    indices = assign(clean, noise, mask=mask)
    best = min(sum(cost[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(rows)))
    found = sum(cost[i, j] for i, j in enumerate(indices.tolist()))
    assert sorted(indices.tolist()) == list(range(rows))
    assert found <= best * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("channels", [3, 90])
def test_masked_cost_is_the_optimum_over_what_counts(channels: int) -> None:
    clean = 2 * torch.randn((40, 6, channels), generator=seeded(1))
    noise = torch.randn((40, 6, channels), generator=seeded(2))
    mask = torch.arange(6) < torch.randint(0, 7, (40, 1), generator=seeded(3))
    cost = squared_distances(clean, noise, mask)
    masked = assign(clean, noise, mask=mask)
    assert_optimal(masked, cost, 1e-6)
    # Neither forgetting the mask nor masking the product alone would find it.
    for wrong in (
        squared_distances(clean, noise),
        -(clean * mask[..., None]).flatten(1) @ noise.flatten(1).T,
    ):
        _, columns = linear_sum_assignment(np.asarray(wrong))
        assert cost[np.arange(40), columns].sum() > 1.001 * cost[np.arange(40), masked.numpy()].sum()


def test_a_mean_that_images_share_changes_no_permutation() -> None:
    clean = torch.randn((60, 3, 8, 8), generator=seeded(1), dtype=torch.float64)
    noise = torch.randn((60, 3, 8, 8), generator=seeded(2), dtype=torch.float64)
    mean = 5 * torch.randn((3, 8, 8), generator=seeded(3), dtype=torch.float64)
    assert torch.equal(assign(clean + mean, noise), assign(clean, noise))


def test_noise_near_its_own_image_is_given_back_to_it() -> None:
    clean = torch.randn((50, 3, 4, 4), generator=seeded(1))
    order = torch.randperm(50, generator=seeded(2))
    near = clean[order] + 0.01 * torch.randn(clean.shape, generator=seeded(3))
    assert torch.equal(assign(clean, near), order.argsort())


def test_half_precision_noise_may_meet_float32_images() -> None:
    clean = torch.randn((50, 100), generator=seeded(1))
    noise = torch.randn((50, 100), generator=seeded(2)).half()
    assert_optimal(assign(clean, noise), squared_distances(clean, noise), 1e-7)


def test_equal_configurations_are_equal() -> None:
    assert Assigned() == Assigned() and Independent() == Independent()
