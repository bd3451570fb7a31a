"""Paired noise brought back to the moments of N(0, I)."""

import pytest
import torch
from tests.small_runs import small

from immiscible_diffusion.data.images import load_images, mean_image
from immiscible_diffusion.noise_moments import DRAWN, fitted_marginal, lean, paired_rows
from immiscible_diffusion.pairing import (
    Nearest,
    Rescaled,
    Staged,
    canonical_name,
    is_rescaled,
    pairing_from_name,
    unscaled_name,
)
from immiscible_diffusion.runs.images import pairing_of

DATA = load_images("digits")


@pytest.mark.parametrize("name", ["nearest:8:rescaled", "nearest:8:uncentred:rescaled"])
def test_a_runs_pairing_has_the_moments_of_the_start(name: str) -> None:
    experiment, centre = small(pairing=name), mean_image(DATA)
    pairing = pairing_of(experiment, DATA, centre)
    clean, noise = paired_rows(experiment, DATA, pairing, DRAWN, step=1)
    left = fitted_marginal(noise)
    assert left.std == pytest.approx(1, abs=0.005)
    assert float(left.mean.norm()) < 0.06
    # It still lies near its image, and the other way of saying so does not.
    assert lean(clean, noise, centre) > 0.6
    before = pairing_from_name(unscaled_name(name), centre)
    assert fitted_marginal(paired_rows(experiment, DATA, before, 4096)[1]).std < 0.95


def test_a_run_made_longer_pairs_as_before() -> None:
    one, other = (
        pairing_of(small(pairing="nearest:8:rescaled", steps=steps), DATA, mean_image(DATA))
        for steps in (12, 5000)
    )
    assert isinstance(one, Rescaled) and isinstance(other, Rescaled)
    assert one.std == other.std and torch.equal(one.mean, other.mean)


def test_it_is_the_other_pairings_noise_moved_and_stretched() -> None:
    images = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    mean = torch.full((3, 1, 1), 0.25)
    noise = Nearest(k=4)(images, generator=torch.Generator().manual_seed(1))
    found = Rescaled(Nearest(k=4), mean, 0.5)(images, generator=torch.Generator().manual_seed(1))
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), (noise.float() - 0.25) / 0.5, atol=0.02)


def test_names() -> None:
    assert canonical_name("nearest:rescaled:coarse2") == "nearest:8:coarse2:rescaled"
    assert is_rescaled("nearest:rescaled:until50") and not is_rescaled("nearest:8")
    assert unscaled_name("nearest:rescaled:dot:until50") == "nearest:8:dot"
    moments = (torch.zeros(1, 8, 8), 0.9)
    staged = pairing_from_name("nearest:8:rescaled:until50", torch.zeros(1, 8, 8), moments=moments)
    assert isinstance(staged, Staged) and isinstance(staged.pairing, Rescaled)


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"not given; measure them on 'nearest:8:uncentred'"):
        pairing_from_name("nearest:8:uncentred:rescaled")
    with pytest.raises(ValueError, match="std must be greater than 0, got 0"):
        Rescaled(Nearest(), torch.zeros(1), 0.0)
    with pytest.raises(ValueError, match="gives its scale twice"):
        canonical_name("nearest:rescaled:rescaled")
