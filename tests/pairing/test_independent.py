"""Independent: what `torch.randn_like` gives, with a generator."""

import pytest
import torch
from scipy import stats

from immiscible_diffusion.pairing import Independent


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_randn_like(dtype: torch.dtype) -> None:
    clean = torch.zeros(4, 3, 5, 5, dtype=dtype)
    torch.manual_seed(3)
    expected = torch.randn_like(clean)
    assert torch.equal(Independent()(clean, generator=torch.Generator().manual_seed(3)), expected)
    torch.manual_seed(3)
    assert torch.equal(Independent()(clean), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_float32_rounded(dtype: torch.dtype) -> None:
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    half = Independent()(torch.zeros(4, 37, dtype=dtype), generator=generators[0])
    full = torch.randn((4, 37), generator=generators[1])
    assert half.dtype == dtype and torch.equal(half, full.to(dtype))


def test_is_standard_normal_whatever_the_image() -> None:
    clean = torch.full((200, 500), 1e6)
    noise = Independent()(clean, generator=torch.Generator().manual_seed(1))
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 1e-3


def test_images_that_no_choice_is_made_on_may_hold_anything() -> None:
    assert torch.isfinite(Independent()(torch.full((2, 3), torch.nan))).all()
