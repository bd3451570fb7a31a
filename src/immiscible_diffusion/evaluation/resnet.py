"""The CIFAR-10 ResNets of He et al. (2016) as trained by akamaster/pytorch_resnet_cifar10 (BSD-2-Clause).

A sharper look at 32×32 colour images than the probe's, from public weights. Its distance is not FID.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from immiscible_diffusion.evaluation.weights import fit_weights, read_weights

FEATURE_COUNT = 64
IMAGE_SIZE = 32
EXPECTED_FILES = (
    "resnet20-12fca82f.th, resnet56-4bfd9763.th or another of github.com/akamaster/pytorch_resnet_cifar10"
)
_PREFIX = "module."  # left by the DataParallel that these were trained under


def resnet_network(path: Path) -> "ResNetFeatures":
    """Build the network from a file of weights, whatever its depth.

    uint8 [N, 1 or 3, 32, 32] -> float32 [N, 64], the features before the last layer.
    Raises ValueError where the file is absent or does not fit.
    """
    checkpoint = read_weights(path, EXPECTED_FILES)
    held = checkpoint.get("state_dict", checkpoint)
    if not isinstance(held, dict):
        raise ValueError(f"weights: {path} has no tensors under 'state_dict'; give {EXPECTED_FILES}")
    tensors = {str(name).removeprefix(_PREFIX): tensor for name, tensor in held.items()}
    blocks = {name.split(".")[1] for name in tensors if name.startswith("layer1.")}
    with torch.device("meta"):
        network = ResNetFeatures(blocks_per_stage=max(1, len(blocks)))
    fit_weights(network, tensors, path, EXPECTED_FILES)
    return network


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut without weights (option A of the paper)."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.added_channels = channels - channels_in
        self.stride = 2 if self.added_channels else 1
        self.conv1 = nn.Conv2d(channels_in, channels, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, maps: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(maps)))))
        # Option A: keep every second pixel, and fill the new channels with zeros, half on either side.
        side = self.added_channels // 2
        shortcut = F.pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, side, side))
        return F.relu(residual + shortcut)


class ResNetFeatures(nn.Module):
    """ResNet of depth 6·blocks + 2; attribute names are the keys of the published files."""

    def __init__(self, blocks_per_stage: int) -> None:
        super().__init__()
        self.depth = 6 * blocks_per_stage + 2
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks_per_stage)
        self.layer2 = _stage(16, 32, blocks_per_stage)
        self.layer3 = _stage(32, FEATURE_COUNT, blocks_per_stage)
        self.linear = nn.Linear(FEATURE_COUNT, 10)

    def forward(self, images: Tensor) -> Tensor:
        # ImageNet's mean and deviation, under which the files were trained.
        mean = torch.tensor([0.485, 0.456, 0.406], device=images.device)[:, None, None]
        deviation = torch.tensor([0.229, 0.224, 0.225], device=images.device)[:, None, None]
        maps = (images.float().expand(-1, 3, -1, -1) / 255 - mean) / deviation  # [N, 3, H, W]
        maps = F.relu(self.bn1(self.conv1(maps)))
        maps = self.layer3(self.layer2(self.layer1(maps)))  # [N, 64, H/4, W/4]
        return F.adaptive_avg_pool2d(maps, 1).flatten(1)  # [N, 64]

    def scores(self, images: Tensor) -> Tensor:
        """Score the ten classes: uint8 [N, C, H, W] -> float32 [N, 10]."""
        scores: Tensor = self.linear(self(images))
        return scores


def _stage(channels_in: int, channels: int, blocks: int) -> nn.Sequential:
    rest = (ResidualBlock(channels, channels) for _ in range(blocks - 1))
    return nn.Sequential(ResidualBlock(channels_in, channels), *rest)
