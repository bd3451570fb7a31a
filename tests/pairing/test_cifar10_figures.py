"""The paper's figures on 2,000 real images: what `benchmarks/cifar10_figures.py` measures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.pairing.algorithm_1 import nearest_of_k, winners_of_k

from immiscible_diffusion.pairing import Assigned, Independent, Nearest, Pairing

figures = pytest.importorskip(
    "benchmarks.cifar10_figures", reason="needs matplotlib and datasets: the evaluate extra"
)
FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10" / "test.parquet"
IMAGE_STD = 1.0
SEED = 3


@pytest.fixture(scope="module")
def images() -> "figures.CleanImages":
    if not FILE.exists():
        pytest.skip(f"CIFAR-10 is not at {FILE}")
    pixels = figures.load_images(str(FILE), rows=2000).pixels
    return figures.CleanImages("cifar10", pixels, IMAGE_STD, fingerprint="")


def distances(images: "figures.CleanImages", pairing: Pairing) -> torch.Tensor:
    found: torch.Tensor = figures.image_noise_distances(images, {"": pairing}, 256, figures.seeded(SEED))[""]
    return found


@pytest.fixture(scope="module")
def plain(images: "figures.CleanImages") -> torch.Tensor:
    return distances(images, Independent())


@pytest.mark.parametrize("k", [4, 8, 200])
def test_distance_falls_by_what_algorithm_1_says(
    k: int, images: "figures.CleanImages", plain: torch.Tensor
) -> None:
    """Each image's expected distance, from many winners drawn as (a, c), within sampling error."""
    norms = images.rows(slice(None)).flatten(1).norm(dim=1).double().numpy()
    repeats = 10
    a, c = winners_of_k(np.tile(norms, repeats), 3072, k, np.random.default_rng(k))
    expected = np.sqrt((np.tile(norms, repeats) - a) ** 2 + c)
    paired = distances(images, Nearest(k=k)).numpy()
    difference = paired - expected.reshape(repeats, -1).mean(axis=0)  # image by image
    assert abs(difference.mean()) < 4.5 * difference.std() / len(norms) ** 0.5  # p < 1e-5
    change, error = figures.change_percent(torch.from_numpy(paired), plain)
    assert change < -10 * error


def test_distance_is_that_of_the_literal_algorithm(images: "figures.CleanImages") -> None:
    clean = images.rows(slice(0, 300))
    literal = nearest_of_k(clean, 8, generator=torch.Generator().manual_seed(1))
    paired = distances(images, Nearest(k=8))[:300]
    difference = paired - (clean - literal).flatten(1).norm(dim=1)
    assert abs(float(difference.mean())) < 4.5 * float(difference.std()) / 300**0.5


def test_changes_are_the_papers(images: "figures.CleanImages", plain: torch.Tensor) -> None:
    """Table 4 prints -1.58 and -1.10 %; 2,000 test images are within 0.1 of the training set."""
    for pairing, expected in [(Nearest(k=8), -1.58), (Nearest(k=4), -1.12), (Assigned(), -2.0)]:
        change, error = figures.change_percent(distances(images, pairing), plain)
        assert change == pytest.approx(expected, abs=4.5 * error + 0.1)
