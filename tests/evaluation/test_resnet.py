"""The CIFAR-10 ResNets: they classify as published, and say so where a file or image does not fit."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from immiscible_diffusion.data.images import ImageData, load_images
from immiscible_diffusion.evaluation import feature_network
from immiscible_diffusion.evaluation.resnet import ResNetFeatures, resnet_network


@pytest.fixture(scope="module")
def cifar_test(shared: Path) -> ImageData:
    return load_images(str(shared / "data" / "cifar10"), split="test", rows=1000)


def some_images(*shape: int) -> ImageData:
    pixels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return ImageData("some", pixels, None, (), "some")


def save_made_up(path: Path, blocks: int, drop: str | None = None) -> None:
    """A training checkpoint as published: a prefix on every key, no batch counters."""
    weights: dict[str, Tensor] = {
        f"module.{name}": tensor
        for name, tensor in ResNetFeatures(blocks).state_dict().items()
        if not name.endswith("num_batches_tracked") and name != drop
    }
    torch.save({"best_prec1": 91.7, "state_dict": weights}, path)


# Of all 10,000 test images they get 8.27 % and 6.61 % wrong, as published; too slow to repeat here.
@pytest.mark.parametrize(("file", "depth", "rows"), [("20-12fca82f", 20, 1000), ("56-4bfd9763", 56, 500)])
def test_published_error(file: str, depth: int, rows: int, cifar_test: ImageData, shared: Path) -> None:
    path = shared / "weights" / f"cifar10_resnet{file}.th"
    if not path.is_file():
        pytest.skip(f"no weights: {path} is absent")
    network = resnet_network(path)
    assert network.depth == depth
    pixels, labels = cifar_test.pixels[:rows], cifar_test.labels[:rows]  # type: ignore[index]
    found = torch.cat([network.scores(part).argmax(1) for part in pixels.split(100)])
    assert (found != labels).float().mean() < 0.10


@pytest.mark.parametrize("blocks", [1, 3, 9])
def test_depth_is_read_from_the_file(blocks: int, tmp_path: Path, undisturbed: None) -> None:
    with torch.random.fork_rng():
        save_made_up(tmp_path / "some.th", blocks)
    chosen = feature_network("resnet", some_images(3, 3, 32, 32), weights=tmp_path / "some.th")
    assert chosen.name == f"cifar10-resnet{6 * blocks + 2}"
    assert (chosen.size, chosen.distance_name) == (64, "Fréchet distance")
    features = chosen.module(some_images(3, 3, 32, 32).pixels)
    assert features.shape == (3, 64) and not features.requires_grad and not chosen.module.training


def test_grey_images_are_repeated_to_colour(tmp_path: Path) -> None:
    save_made_up(tmp_path / "some.th", 1)
    grey = some_images(2, 1, 32, 32)
    module = feature_network("resnet", grey, weights=tmp_path / "some.th").module
    assert torch.equal(module(grey.pixels), module(grey.pixels.repeat(1, 3, 1, 1)))


def test_what_does_not_fit(tmp_path: Path) -> None:
    colour, path = some_images(3, 3, 32, 32), tmp_path / "some.th"
    with pytest.raises(
        ValueError, match=r"weights: none given for name='resnet'; give the path of resnet20-"
    ):
        feature_network("resnet", colour)
    save_made_up(path, 3, drop="layer2.1.conv1.weight")
    with pytest.raises(
        ValueError, match=r"lacks 'layer2.1.conv1.weight', the first missing key; give resnet20-"
    ):
        feature_network("resnet", colour, weights=path)
    torch.save({"state_dict": 3}, path)
    with pytest.raises(ValueError, match="has no tensors under 'state_dict'; give resnet20-"):
        feature_network("resnet", colour, weights=path)
    save_made_up(path, 1)
    with pytest.raises(
        ValueError, match=r"name: 'resnet' was trained on 32×32 images, and data set 'some' is 28×28"
    ):
        feature_network("resnet", some_images(3, 1, 28, 28), weights=path)
    with pytest.raises(ValueError, match=r"name: 'resnet' takes grey or colour images, .* has 4 channels"):
        feature_network("resnet", some_images(3, 4, 32, 32), weights=path)
