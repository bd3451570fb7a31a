"""Assignment in blocks: a permutation, deterministic, near the optimum, and much nearer than blind blocks."""

import logging

import pytest
import torch
from torch import Tensor

from immiscible_diffusion.pairing import Assigned, assign, assigned
from immiscible_diffusion.pairing.blocks import principal_directions


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(rows: int) -> Tensor:
    """Smooth, like natural images: most of what varies is in a few directions."""
    coarse = torch.randn((rows, 3, 4, 4), generator=seeded(1))
    fine = torch.randn((rows, 3, 16, 16), generator=seeded(2))
    return 0.5 * torch.nn.functional.interpolate(coarse, size=16, mode="bilinear") + 0.05 * fine


def gain(clean: Tensor, noise: Tensor) -> float:
    return float((clean * noise).sum(dtype=torch.float64))


def test_blocks_keep_most_of_the_gain_and_beat_blind_ones() -> None:
    clean = images(1024)
    noise = torch.randn(clean.shape, generator=seeded(3))
    exact = gain(clean, noise[assign(clean, noise)])
    near = gain(clean, noise[assign(clean, noise, block=128)])
    pairs = zip(clean.split(128), noise.split(128), strict=True)
    blind = sum(gain(c, n[assign(c, n)]) for c, n in pairs)
    assert blind < near < exact
    assert (exact - near) < 0.75 * (exact - blind)
    assert near > 0.85 * exact


@pytest.mark.parametrize(("rows", "block"), [(7, 2), (100, 33), (64, 64), (65, 64)])
@pytest.mark.parametrize("masked", [False, True])
def test_blocks_give_a_permutation_that_repeats(rows: int, block: int, masked: bool) -> None:
    clean = images(rows)
    noise = torch.randn(clean.shape, generator=seeded(3))
    mask = (torch.arange(3) < torch.arange(rows)[:, None] % 3 + 1) if masked else None
    torch.manual_seed(5)
    state = torch.get_rng_state()
    columns = assign(clean, noise, block=block, mask=mask)
    assert sorted(columns.tolist()) == list(range(rows))
    assert torch.equal(columns, assign(clean, noise, block=block, mask=mask))
    assert torch.equal(torch.get_rng_state(), state)
    if rows <= block:
        assert torch.equal(columns, assign(clean, noise, mask=mask))


def test_images_that_are_all_alike_are_assigned_too() -> None:
    noise = torch.randn((50, 3, 4, 4), generator=seeded(3))
    for clean in (torch.zeros_like(noise), torch.ones_like(noise)):
        assert sorted(assign(clean, noise, block=8).tolist()) == list(range(50))


def test_directions_are_the_principal_ones() -> None:
    rows = torch.randn((400, 30), generator=seeded(1)) * torch.linspace(4, 0.1, 30)
    directions = principal_directions(rows + 10)
    assert torch.allclose(directions.T @ directions, torch.eye(8), atol=1e-4)
    expected = torch.linalg.svd(rows - rows.mean(0), full_matrices=False).Vh[-30:][:8]
    assert torch.linalg.svdvals(expected @ directions).min() > 0.999


def test_a_configuration_with_blocks_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert repr(Assigned(solver="scipy", block=64)) == "Assigned(solver='scipy': scipy, block=64)"
    with pytest.raises(
        ValueError, match="block must be 2 rows or more, or None for the exact optimum, got 1"
    ):
        Assigned(block=1)
    assigned._announce_blocks.cache_clear()
    with caplog.at_level(logging.INFO, logger=assigned.__name__):
        Assigned(block=8)(images(20), generator=seeded(1))
    assert "assigned in blocks of 8 rows, near the optimum but not at it" in caplog.text
