"""The distances: right, ordered as the eye orders, reproducible, and honest about what they are."""

import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn

from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.evaluation import (
    FeatureNetwork,
    Reference,
    distances,
    image_features,
    prepare_reference,
)


@pytest.fixture(scope="module")
def reference(digits: ImageData, digits_probe: FeatureNetwork) -> Reference:
    return prepare_reference(digits.pixels, digits_probe)


def noisy(images: Tensor, strength: float, seed: int = 0) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    return (images + strength * noise).clamp(0, 255).to(torch.uint8)


def test_the_same_images_are_at_no_distance(digits: ImageData, reference: Reference) -> None:
    found = distances(reference, digits.pixels)
    assert 0 <= found.frechet < 1e-6
    assert abs(found.kernel) < 0.01
    assert (found.features, found.distance_name) == ("probe(digits)", "Fréchet distance")
    assert (found.real_count, found.generated_count, found.warning) == (1797, 1797, "")


def test_corruption_is_ordered(digits: ImageData, reference: Reference) -> None:
    found = [distances(reference, noisy(digits.pixels[:600], strength)) for strength in (0, 20, 40, 80, 160)]
    assert [d.frechet for d in found] == sorted(d.frechet for d in found)
    assert [d.kernel for d in found] == sorted(d.kernel for d in found)
    static = distances(reference, noisy(torch.full_like(digits.pixels[:600], 128), 100))
    assert static.frechet > 10 and static.kernel > 0.5


def test_a_missing_class_shows(digits: ImageData, reference: Reference) -> None:
    whole = distances(reference, digits.pixels[:900])
    assert digits.labels is not None
    without = distances(reference, digits.pixels[digits.labels != 0][:900])
    assert without.frechet > 2 * whole.frechet and without.kernel > whole.kernel + 0.005


def test_frechet_agrees_with_scipy(digits: ImageData, reference: Reference) -> None:
    generated = noisy(digits.pixels[:700], 30)
    real = image_features(reference.network, digits.pixels).double().numpy()
    fake = image_features(reference.network, generated).double().numpy()
    shift = real.mean(0) - fake.mean(0)
    cov_real, cov_fake = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = scipy.linalg.sqrtm(cov_real @ cov_fake).real
    expected = shift @ shift + np.trace(cov_real + cov_fake - 2 * root)
    assert distances(reference, generated).frechet == pytest.approx(expected, rel=1e-6)


def test_kernel_agrees_with_its_definition(digits: ImageData, digits_probe: FeatureNetwork) -> None:
    real, generated = digits.pixels[:300], noisy(digits.pixels[300:600], 30)
    a, b = (image_features(digits_probe, images).double() for images in (real, generated))
    within_a, within_b, across = ((x @ y.T / 64 + 1) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    pairs = 300 * 299
    expected = (
        (within_a.sum() - within_a.trace()) / pairs
        + (within_b.sum() - within_b.trace()) / pairs
        - 2 * across.mean()
    )
    found = distances(prepare_reference(real, digits_probe), generated)
    assert found.kernel == pytest.approx(float(expected), abs=1e-5)


def test_equal_arguments_equal_numbers(digits: ImageData, reference: Reference, undisturbed: None) -> None:
    state = torch.get_rng_state()
    generated = noisy(digits.pixels[:300], 30)
    first = distances(reference, generated)
    torch.rand(5)
    assert distances(reference, generated) == first
    torch.set_rng_state(state)
    other = distances(reference, generated, seed=1)
    assert other.frechet == first.frechet and other.kernel != first.kernel
    assert other.kernel == pytest.approx(first.kernel, abs=0.005)


def test_an_evaluation_leaves_the_reference_as_it_was(digits: ImageData, reference: Reference) -> None:
    before = distances(reference, noisy(digits.pixels[:500], 30))
    distances(reference, noisy(digits.pixels[:300], 120))
    with pytest.raises(ValueError, match="generated"):
        distances(reference, digits.pixels[:1])
    assert distances(reference, noisy(digits.pixels[:500], 30)) == before


class Counting(nn.Module):
    """A network that counts the images it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1), requires_grad=False)
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return images.flatten(1)[:, 20:28].float() * self.weight


def test_every_image_is_looked_at_once(digits: ImageData) -> None:
    module = Counting()
    reference = prepare_reference(digits.pixels, FeatureNetwork("counting", module, 8, "Fréchet distance"))
    assert module.seen == 1797
    distances(reference, digits.pixels[:100])
    distances(reference, digits.pixels[100:300])
    assert module.seen == 1797 + 100 + 200


def test_only_inceptions_distance_is_called_fid(digits: ImageData) -> None:
    module = Counting()
    for name in ("FID", "Fréchet distance"):
        reference = prepare_reference(digits.pixels[:50], FeatureNetwork("some", module, 8, name))
        assert distances(reference, digits.pixels[:50]).distance_name == name


def test_too_few_for_the_covariance_is_said(digits: ImageData, reference: Reference) -> None:
    message = r"Fréchet distance from 64 generated images with 64 features: the covariance is singular"
    with pytest.warns(UserWarning, match=message):
        found = distances(reference, digits.pixels[:64])
    assert "give more than 64 images" in found.warning
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert distances(reference, digits.pixels[:65]).warning == ""
    few = prepare_reference(digits.pixels[:10], reference.network)
    with pytest.warns(UserWarning, match="from 10 real images and 5 generated images with 64 features"):
        distances(few, digits.pixels[:5])


def test_images_that_cannot_be_compared(digits: ImageData, reference: Reference) -> None:
    with pytest.raises(ValueError, match="images: 1 given; a distance needs at least 2"):
        prepare_reference(digits.pixels[:1], reference.network)
    with pytest.raises(ValueError, match="generated: 0 given; a distance needs at least 2"):
        distances(reference, digits.pixels[:0])
    with pytest.raises(ValueError, match=r"generated: float32 \[1797, 1, 8, 8\] given; give uint8"):
        distances(reference, digits.pixels.float())
    wide = torch.zeros(4, 1, 8, 9, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"generated: images of shape \[1, 8, 9\], .* has \[1, 8, 8\]"):
        distances(reference, wide)
