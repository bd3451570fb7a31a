"""The paper's figures on real images, small: `benchmarks/cifar10_figures.py` on 2,000 test images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.pairing.algorithm_1 import nearest_of_k, winners_of_k

from immiscible_diffusion.pairing import Assigned, Independent, Nearest

figures = pytest.importorskip(
    "benchmarks.cifar10_figures", reason="needs pyarrow and Pillow: the train extra"
)
FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10" / "test.parquet"
IMAGE_STD = 1.0
SEED = 3


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    if not FILE.exists():
        pytest.skip(f"CIFAR-10 is not at {FILE}")
    return figures.read_images(FILE, 2000)


@pytest.fixture(scope="module")
def plain(pixels: torch.Tensor) -> torch.Tensor:
    return figures.distances(pixels, IMAGE_STD, Independent(), 256, SEED)


@pytest.mark.parametrize("k", [4, 8, 200])
def test_distance_falls_by_what_algorithm_1_says(k: int, pixels: torch.Tensor, plain: torch.Tensor) -> None:
    """Each image's expected distance, from many winners drawn as (a, c), within sampling error."""
    norms = torch.cat(list(figures.batches(pixels, IMAGE_STD, 256))).flatten(1).norm(dim=1).double().numpy()
    repeats = 10
    a, c = winners_of_k(np.tile(norms, repeats), 3072, k, np.random.default_rng(k))
    expected = np.sqrt((np.tile(norms, repeats) - a) ** 2 + c)
    paired = figures.distances(pixels, IMAGE_STD, Nearest(k=k), 256, SEED).numpy()
    difference = paired - expected.reshape(repeats, -1).mean(axis=0)  # image by image
    assert abs(difference.mean()) < 4.5 * difference.std() / len(norms) ** 0.5  # p < 1e-5
    change, error = figures.change_percent(torch.from_numpy(paired), plain)
    assert change < -10 * error


def test_distance_is_that_of_the_literal_algorithm(pixels: torch.Tensor) -> None:
    clean = next(figures.batches(pixels, IMAGE_STD, 300))
    literal = nearest_of_k(clean, 8, generator=torch.Generator().manual_seed(1))
    paired = figures.distances(pixels[:300], IMAGE_STD, Nearest(k=8), 300, SEED)
    difference = paired - (clean - literal).flatten(1).norm(dim=1)
    assert abs(float(difference.mean())) < 4.5 * float(difference.std()) / 300**0.5


def test_changes_are_the_papers(pixels: torch.Tensor, plain: torch.Tensor) -> None:
    """Table 4 prints -1.58 and -1.10 %; 2,000 test images are within 0.1 of the training set."""
    for pairing, expected in [(Nearest(k=8), -1.58), (Nearest(k=4), -1.12), (Assigned(), -2.0)]:
        change, error = figures.change_percent(
            figures.distances(pixels, IMAGE_STD, pairing, 256, SEED), plain
        )
        assert change == pytest.approx(expected, abs=4.5 * error + 0.1)


def test_fitted_divergence_is_the_known_one_of_few_gaussians() -> None:
    """The fit of N Gaussian vectors has a known mean divergence: its log-determinant is a Wishart's."""
    count, shape = 4000, (3, 8, 8)
    pixels = torch.zeros((count, *shape), dtype=torch.uint8)
    dimension = 192
    freedom = count - 1 - torch.arange(dimension, dtype=torch.float64)
    log_determinant = (torch.digamma(freedom / 2) + np.log(2 / count)).sum()
    trace = dimension * (count - 1) / count + dimension / count
    expected = float(trace - dimension - log_determinant) / 2
    measured = figures.divergence(pixels, IMAGE_STD, Independent(), 500, SEED, 0)
    assert measured == pytest.approx(expected, abs=0.14)  # 4.5 of its standard deviations
