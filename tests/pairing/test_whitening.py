"""Choosing in the data set's principal axes: Algorithm 1 in another metric, and every refusal."""

import pytest
import torch

from immiscible_diffusion.pairing import Nearest, pairing_from_name, whitening


def spread_images(count: int = 4000) -> torch.Tensor:
    """Images [N, 1, 2, 3] whose axes differ by a factor of 20 in variance, turned by a fixed rotation."""
    generator = torch.Generator().manual_seed(1)
    turned, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator))
    scales = torch.tensor([2.0, 1.5, 1.0, 0.5, 0.2, 0.1])
    images = torch.randn(count, 6, generator=generator) * scales @ turned.T + 0.3
    return images.view(count, 1, 2, 3)


def test_whitened_images_have_unit_covariance() -> None:
    images = spread_images()
    rows = (images - images.mean(0)).flatten(1) @ whitening(images)
    assert torch.allclose(rows.T.cov(), torch.eye(6), atol=1e-3)


def test_axes_without_variance_are_left_out() -> None:
    images = spread_images()
    images[:, 0, 0, 0] = 0.5
    axes = whitening(images)
    assert torch.equal(axes.isfinite(), torch.ones(6, 6, dtype=torch.bool))
    assert float(axes[0].abs().max()) < 1e-4


def test_the_law_is_that_of_algorithm_1_on_whitened_images() -> None:
    """One image, 20,000 draws each way: moments along the whitened image and across it."""
    images = spread_images()
    mean, axes = images.mean(0), whitening(images)
    image = images[7]
    target = ((image - mean).flatten() @ axes).float()
    generator = torch.Generator().manual_seed(2)
    candidates = torch.randn(20000, 8, 6, generator=generator)
    best = (candidates - target).square().sum(-1).argmin(1)
    literal = candidates[torch.arange(20000), best]
    pairing = Nearest(k=8, centre=mean, whitening=axes)
    ours = pairing(image.expand(20000, 1, 2, 3).contiguous(), generator=generator).flatten(1)
    assert torch.allclose(ours.mean(0), literal.mean(0), atol=0.04)
    assert torch.allclose(ours.T.cov(), literal.T.cov(), atol=0.06)


def test_names_take_the_axes() -> None:
    images = spread_images()
    axes = whitening(images)
    pairing = pairing_from_name("nearest:4:whitened", images.mean(0), whitening=axes)
    assert isinstance(pairing, Nearest) and pairing.whitening is axes
    with pytest.raises(ValueError, match=r"principal axes and none were given; pass whitening\(images\)"):
        pairing_from_name("nearest:4:whitened", images.mean(0))
    with pytest.raises(ValueError, match="chooses both whitened and coarse; keep one"):
        pairing_from_name("nearest:4:whitened:coarse2", images.mean(0), whitening=axes)


def test_what_does_not_fit_is_refused() -> None:
    axes = whitening(spread_images())
    with pytest.raises(ValueError, match=r"whitening has shape \(6, 6\), images have 4 values"):
        Nearest(whitening=axes)(torch.zeros(2, 1, 2, 2))
    with pytest.raises(ValueError, match="mask cannot be combined with whitening"):
        Nearest(whitening=axes)(torch.zeros(2, 6), mask=torch.ones(2, 6, dtype=torch.bool))
    with pytest.raises(ValueError, match="whitening cannot be combined with view or fused"):
        Nearest(view=2, whitening=axes)
    with pytest.raises(ValueError, match="images are all alike"):
        whitening(torch.ones(4, 6))
    with pytest.raises(ValueError, match="2 or more of at most 4096 values each, got 1 of 6"):
        whitening(torch.ones(1, 6))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_noise_keeps_the_type_and_starts_from_the_same_draw(dtype: torch.dtype) -> None:
    images = spread_images(64).to(dtype)
    pairing = Nearest(k=8, whitening=whitening(images))
    noise = pairing(images, generator=torch.Generator().manual_seed(3))
    assert noise.dtype == dtype and noise.shape == images.shape
    again = pairing(images, generator=torch.Generator().manual_seed(3))
    assert torch.equal(noise, again)
