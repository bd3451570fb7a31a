"""Copies of training images are found, and images that are like many are not taken for copies."""

import pytest
import torch

from immiscible_diffusion.evaluation import memorisation


def pictures(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 6, 6), dtype=torch.uint8, generator=generator)


def test_against_distances_written_out() -> None:
    generated, training = pictures(40, 0), pictures(300, 1)
    apart = torch.cdist(generated.flatten(1).double() / 255, training.flatten(1).double() / 255) / 6
    among = torch.cdist(training.flatten(1).double() / 255, training.flatten(1).double() / 255) / 6
    among.fill_diagonal_(9)
    found = memorisation(generated, training)
    assert found.distance == pytest.approx(float(apart.min(1).values.median()), rel=1e-4)
    assert found.training_distance == pytest.approx(float(among.min(1).values.median()), rel=1e-4)
    assert (found.copies, found.count) == (0.0, 40)


def test_copies_are_counted() -> None:
    training = pictures(300, 1)
    generated = pictures(40, 0)
    generated[:10] = training[50:60]
    generated[0, 0, 0, 0] ^= 1  # nearly
    found = memorisation(generated, training)
    assert found.copies == 0.25
    assert memorisation(training[:5], training).distance == 0.0


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="images of one shape"):
        memorisation(pictures(4, 0), pictures(10, 1)[..., :5])
    with pytest.raises(ValueError, match="at least 1 and 3 of them"):
        memorisation(pictures(4, 0), pictures(2, 1))
    with pytest.raises(ValueError, match="give uint8"):
        memorisation(pictures(4, 0).float(), pictures(10, 1))
