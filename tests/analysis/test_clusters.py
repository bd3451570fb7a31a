"""Noise clusters lie where the winner's law says."""

import pytest
import torch

from immiscible_diffusion.analysis.clean_images import CleanImages, load_clean
from immiscible_diffusion.analysis.clusters import distances_between, noise_clusters
from immiscible_diffusion.analysis.laws import winner_moments
from immiscible_diffusion.pairing import Assigned, Independent, Nearest, Pairing

ROWS = torch.tensor([0, 1, 2, 5])
POINTS = 3000


@pytest.fixture(scope="module")
def digits() -> CleanImages:
    return load_clean("digits", rows=200)


def between(images: CleanImages, pairing: Pairing, points: int = POINTS) -> tuple[torch.Tensor, torch.Tensor]:
    return distances_between(noise_clusters(images, ROWS, pairing, points, batch=32, keep=5, seed=0))


def test_sampling_alone_parts_independent_clusters(digits: CleanImages) -> None:
    measured, apart = between(digits, Independent())
    assert float(measured.mean()) == pytest.approx((2 * 64 / POINTS) ** 0.5, rel=0.15)
    assert float(apart.abs().max()) < 0.03


def test_nearest_noise_leans_to_its_image_as_far_as_its_law_says(digits: CleanImages) -> None:
    _, apart = between(digits, Nearest(k=8))
    clean = digits.rows(ROWS).flatten(1).double()
    lengths = clean.norm(dim=1)
    lean = torch.from_numpy(winner_moments(8, "l2", lengths.numpy(), 64).projection)
    means = clean * (lean / lengths)[:, None]
    upper = torch.triu_indices(4, 4, offset=1)
    expected = (means[upper[0]] - means[upper[1]]).square().sum(dim=1)
    assert torch.allclose(apart.double(), expected, atol=0.15)


def test_assigned_clusters_are_further_apart_than_nearest(digits: CleanImages) -> None:
    assigned, nearest = between(digits, Assigned(), 600)[1], between(digits, Nearest(k=8), 600)[1]
    assert assigned.mean() > 2 * nearest.mean()
    batch_centred = noise_clusters(digits, ROWS, Nearest(centre="batch"), 20, batch=32, keep=5, seed=0)
    assert batch_centred.first.shape == (4, 5, 64) and bool((batch_centred.first[:, -1] != 0).all())


def test_what_is_kept_are_the_first_noises(digits: CleanImages) -> None:
    few = noise_clusters(digits, ROWS, Nearest(k=8), 8, batch=32, keep=100, seed=3)
    assert few.first.shape == (4, 8, 64)
    assert torch.allclose(few.first.mean(dim=1), few.means, atol=1e-5)


def test_bad_arguments_are_named(digits: CleanImages) -> None:
    with pytest.raises(ValueError, match="points must be an even number of 2 or more, got 3"):
        between(digits, Independent(), 3)
    with pytest.raises(ValueError, match="batch must hold the 4 images and at least as many others"):
        noise_clusters(digits, ROWS, Assigned(), 2, batch=5, keep=1, seed=0)
