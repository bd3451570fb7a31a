"""Feature networks: what an image is turned into before two sets of images are compared."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.evaluation import inception, probe, resnet
from immiscible_diffusion.evaluation.probe_cache import cached_probe
from immiscible_diffusion.pairing.suggestions import unknown

NAMES = ("auto", "probe", "inception", "resnet", "pixels")
MOST_PIXELS = 1024  # a covariance of more is slow, and needs more images than anybody samples


@dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """A frozen network that turns images into features; its `name` stands beside every distance.

    Distances under different names, or under probes trained on different machines, are not comparable.
    """

    name: str  # such as "probe(digits)", "inception-v3", "cifar10-resnet56"
    module: nn.Module  # uint8 [N, C, H, W] -> float32 [N, F]; `module.to(device)` moves it, images follow
    size: int  # F
    distance_name: str  # "FID" for Inception-v3, "Fréchet distance" otherwise
    accuracy: float | None = None  # a probe's share of held-out images classified rightly


def feature_network(
    name: str, images: ImageData, *, weights: Path | None = None, cache: Path | None = None
) -> FeatureNetwork:
    """Choose the network that distances to `images` are measured with.

    "probe" is trained once on the labels of `images` and kept under `cache`; "inception" is FID's network,
    from `weights` or torch hub's checkpoint folder; "resnet" is a CIFAR-10 ResNet from `weights`, which sees
    larger images averaged to 32×32; "pixels" is no network but the image itself, up to 1,024 values; "auto"
    is Inception-v3 where its weights are given or found, and the probe elsewhere.
    Raises ValueError for an unknown name, and where weights or labels are missing or do not fit.
    """
    if name not in NAMES:
        raise ValueError(f"name: {unknown('feature network', name, NAMES)}")
    if name == "resnet":
        return _resnet(images, weights)
    if name in ("probe", "pixels") and weights is not None:
        raise ValueError(
            f"weights: {weights} given, but name={name!r} uses none; leave it out, or name='auto'"
        )
    if name == "pixels":
        return _pixels(images)
    found = weights if weights is not None else inception.find_inception_weights()
    if name == "probe" or (name == "auto" and found is None):
        trained, record = cached_probe(images, cache)
        return FeatureNetwork(
            f"probe({images.name})", trained, probe.FEATURE_COUNT, "Fréchet distance", record.accuracy
        )
    if found is None:
        raise ValueError(
            f"weights: none given and none in {torch.hub.get_dir()}/checkpoints; "
            f"give the path of {inception.EXPECTED_FILES}, or name='probe'"
        )
    _check_channels("inception", images)
    module = inception.inception_network(found)
    return FeatureNetwork(inception.inception_name(found), module, inception.FEATURE_COUNT, "FID")


def image_features(network: FeatureNetwork, images: Tensor, batch: int = 64) -> Tensor:
    """Turn images into features, `batch` at a time, on the device of the network.

    uint8 [N, C, H, W] -> float32 [N, F] on the CPU.
    Raises ValueError for other shapes and types, and where the network gives anything but finite numbers.
    """
    check_pixels("images", images)
    parameter = next(network.module.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    with torch.no_grad():
        features = torch.cat([network.module(part.to(device)).cpu() for part in images.split(batch)])
    if not bool(features.isfinite().all()):
        raise ValueError(
            f"network: {network.name} gives features that are not finite; give undamaged weights"
        )
    return features


def check_pixels(argument: str, images: Tensor) -> None:
    """Raise ValueError, naming the argument, unless it is uint8 [N, C, H, W]."""
    if images.ndim != 4 or images.dtype != torch.uint8:
        kind = str(images.dtype).removeprefix("torch.")
        raise ValueError(
            f"{argument}: {kind} {list(images.shape)} given; give uint8 [N, C, H, W] with values 0 to 255"
        )


def _pixels(images: ImageData) -> FeatureNetwork:
    size = images.pixels[0].numel()
    if size > MOST_PIXELS:
        raise ValueError(
            f"name='pixels' compares images of up to {MOST_PIXELS} values, {images.name!r} has {size}; "
            "use a smaller resolution or another feature network"
        )
    return FeatureNetwork(f"pixels({images.name})", _Pixels(), size, "Fréchet distance")


class _Pixels(nn.Module):
    """Images as they are, in [−1, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).float() / 127.5 - 1


def _resnet(images: ImageData, weights: Path | None) -> FeatureNetwork:
    if weights is None:
        raise ValueError(f"weights: none given for name='resnet'; give the path of {resnet.EXPECTED_FILES}")
    _check_channels("resnet", images)
    height, width = images.pixels.shape[2:]
    if height != width or height % resnet.IMAGE_SIZE:
        raise ValueError(
            f"name: 'resnet' was trained on 32×32 images, and data set {images.name!r} is {height}×{width}, "
            "which cannot be averaged to that; give name='probe' or 'inception'"
        )
    module = resnet.resnet_network(weights)
    name, network = f"cifar10-resnet{module.depth}", cast(nn.Module, module)
    if height > resnet.IMAGE_SIZE:
        name = f"{name} at 32×32"
        network = nn.Sequential(_Averaged(height // resnet.IMAGE_SIZE), module)
    return FeatureNetwork(name, network, resnet.FEATURE_COUNT, "Fréchet distance")


class _Averaged(nn.Module):
    """Bytes averaged over square blocks, and rounded."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(images.float(), self.side).round().to(torch.uint8)


def _check_channels(name: str, images: ImageData) -> None:
    if images.pixels.shape[1] not in (1, 3):
        raise ValueError(
            f"name: {name!r} takes grey or colour images, and data set {images.name!r} has "
            f"{images.pixels.shape[1]} channels; give name='probe'"
        )
