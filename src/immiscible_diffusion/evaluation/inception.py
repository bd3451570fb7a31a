"""Inception-v3 as the Fréchet inception distance defines it: TensorFlow's network of 2015-12-05.

The structure, the key names and TensorFlow's two oddities (averages that leave padding out, one maximum where
the paper has an average) follow pytorch-fid (github.com/mseitzer/pytorch-fid) and torch-fidelity
(github.com/toshas/torch-fidelity), both under Apache License 2.0. It needs no torchvision.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from immiscible_diffusion.evaluation.weights import fit_weights, read_weights

FEATURE_COUNT = 2048
INPUT_SIZE = 299
FILE_NAMES = (
    "pt_inception-2015-12-05-6726825d.pth",
    "weights-inception-2015-12-05-6726825d.pth",
)
EXPECTED_FILES = f"{FILE_NAMES[0]} (pytorch-fid's release page) or {FILE_NAMES[1]} (torch-fidelity's)"

Pool = Literal["average", "maximum", "shrink"]


@dataclass(frozen=True)
class Step:
    """One convolution of a branch: its key in the file, output channels, kernel (height, width), stride."""

    key: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


# A branch is a chain of steps; a tuple of steps at its end is a fork, whose outputs are stacked.
Branch = tuple[Step | tuple[Step, Step], ...]


def find_inception_weights() -> Path | None:
    """Look for the file in torch hub's checkpoint folder, under either of its names; None where absent."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return next((folder / name for name in FILE_NAMES if (folder / name).is_file()), None)


def inception_network(path: Path) -> nn.Module:
    """Build the network from a file of weights.

    uint8 [N, 1 or 3, H, W] of any size -> float32 [N, 2048], the features that TensorFlow calls pool3.
    Raises ValueError where the file is absent or does not fit.
    """
    with torch.device(
        "meta"
    ):  # 24 million weights that would be drawn from the global generator only to be replaced
        network = InceptionFeatures()
    fit_weights(network, read_weights(path, EXPECTED_FILES), path, EXPECTED_FILES)
    return network


def inception_name(path: Path) -> str:
    """Call the published file "inception-v3", and weights with another checksum by their file's name too."""
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    return "inception-v3" if checksum.startswith("6726825d") else f"inception-v3({path.name})"


class Convolution(nn.Module):
    """Convolution, batch normalisation, rectifier."""

    def __init__(self, channels_in: int, step: Step, padded: bool) -> None:
        super().__init__()
        padding = (step.kernel[0] // 2, step.kernel[1] // 2) if padded else 0
        self.conv = nn.Conv2d(channels_in, step.channels, step.kernel, step.stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(step.channels, eps=0.001)

    def forward(self, images: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(images)), inplace=True)


class Mixed(nn.Module):
    """Parallel branches over the same maps, stacked with a pooled copy: [N, C, H, W] -> [N, more, H, W]."""

    def __init__(
        self, channels_in: int, branches: tuple[Branch, ...], pool: Pool, pool_channels: int = 0
    ) -> None:
        super().__init__()
        self.branches, self.pool = branches, pool
        for branch in branches:
            channels = channels_in
            for link in branch:
                fork = link if isinstance(link, tuple) else (link,)
                for step in fork:
                    self.add_module(step.key, Convolution(channels, step, padded=step.stride == 1))
                channels = sum(step.channels for step in fork)
        if pool != "shrink":
            self.branch_pool = Convolution(channels_in, Step("branch_pool", pool_channels), padded=True)

    def forward(self, maps: Tensor) -> Tensor:
        outputs = []
        for branch in self.branches:
            flowing = maps
            for link in branch:
                fork = link if isinstance(link, tuple) else (link,)
                flowing = torch.cat([self.get_submodule(step.key)(flowing) for step in fork], dim=1)
            outputs.append(flowing)
        if self.pool == "shrink":
            outputs.append(F.max_pool2d(maps, 3, stride=2))
        elif self.pool == "maximum":
            outputs.append(self.branch_pool(F.max_pool2d(maps, 3, stride=1, padding=1)))
        else:  # TensorFlow leaves the padding out of its averages
            outputs.append(
                self.branch_pool(F.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False))
            )
        return torch.cat(outputs, dim=1)


class InceptionFeatures(nn.Module):
    """The whole network up to pool3; attribute names are the keys of the published file."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, Step("", 32, (3, 3), stride=2), padded=False)
        self.Conv2d_2a_3x3 = Convolution(32, Step("", 32, (3, 3)), padded=False)
        self.Conv2d_2b_3x3 = Convolution(32, Step("", 64, (3, 3)), padded=True)
        self.Conv2d_3b_1x1 = Convolution(64, Step("", 80), padded=False)
        self.Conv2d_4a_3x3 = Convolution(80, Step("", 192, (3, 3)), padded=False)
        self.Mixed_5b = _wide_views(192, pool_channels=32)
        self.Mixed_5c = _wide_views(256, pool_channels=64)
        self.Mixed_5d = _wide_views(288, pool_channels=64)
        self.Mixed_6a = _first_shrink(288)
        self.Mixed_6b = _crossed_sevens(128)
        self.Mixed_6c = _crossed_sevens(160)
        self.Mixed_6d = _crossed_sevens(160)
        self.Mixed_6e = _crossed_sevens(192)
        self.Mixed_7a = _second_shrink()
        self.Mixed_7b = _forked_threes(1280, "average")
        self.Mixed_7c = _forked_threes(2048, "maximum")
        self.fc = nn.Linear(FEATURE_COUNT, 1008)  # in the file; the distance does not use it

    def forward(self, images: Tensor) -> Tensor:
        maps = resize_as_tensorflow(images.float().expand(-1, 3, -1, -1), INPUT_SIZE)  # [N, 3, 299, 299]
        maps = (maps - 128) / 128
        maps = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(maps)))
        maps = F.max_pool2d(maps, 3, stride=2)  # [N, 64, 73, 73]
        maps = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(maps)), 3, stride=2)  # [N, 192, 35, 35]
        maps = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(maps))))  # [N, 768, 17, 17]
        maps = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(maps))))
        maps = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(maps)))  # [N, 2048, 8, 8]
        return F.adaptive_avg_pool2d(maps, 1).flatten(1)  # [N, 2048]


def resize_as_tensorflow(images: Tensor, size: int) -> Tensor:
    """Resize bilinearly as TensorFlow 1 did: float [N, C, H, W] -> [N, C, size, size].

    PyTorch's `interpolate` counts positions from pixel centres, TensorFlow 1 from their corners.
    """
    top, bottom, down = _neighbours(images.shape[2], size, images.device)
    left, right, across = _neighbours(images.shape[3], size, images.device)
    upper, lower = images[:, :, top], images[:, :, bottom]
    upper = upper[..., left] + (upper[..., right] - upper[..., left]) * across
    lower = lower[..., left] + (lower[..., right] - lower[..., left]) * across
    return upper + (lower - upper) * down[:, None]


def _neighbours(size_in: int, size_out: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each output pixel: the input pixel before it, the one after, and how far between them it lies."""
    position = torch.arange(size_out, dtype=torch.float32, device=device) * (size_in / size_out)
    before = position.long()
    return before, (before + 1).clamp_max(size_in - 1), position - before


def _wide_views(channels: int, pool_channels: int) -> Mixed:
    one: Branch = (Step("branch1x1", 64),)
    five: Branch = (Step("branch5x5_1", 48), Step("branch5x5_2", 64, (5, 5)))
    threes: Branch = (
        Step("branch3x3dbl_1", 64),
        Step("branch3x3dbl_2", 96, (3, 3)),
        Step("branch3x3dbl_3", 96, (3, 3)),
    )
    return Mixed(channels, (one, five, threes), "average", pool_channels)


def _first_shrink(channels: int) -> Mixed:
    three: Branch = (Step("branch3x3", 384, (3, 3), stride=2),)
    threes: Branch = (
        Step("branch3x3dbl_1", 64),
        Step("branch3x3dbl_2", 96, (3, 3)),
        Step("branch3x3dbl_3", 96, (3, 3), stride=2),
    )
    return Mixed(channels, (three, threes), "shrink")


def _crossed_sevens(inner: int) -> Mixed:
    one: Branch = (Step("branch1x1", 192),)
    seven: Branch = (
        Step("branch7x7_1", inner),
        Step("branch7x7_2", inner, (1, 7)),
        Step("branch7x7_3", 192, (7, 1)),
    )
    sevens: Branch = (
        Step("branch7x7dbl_1", inner),
        Step("branch7x7dbl_2", inner, (7, 1)),
        Step("branch7x7dbl_3", inner, (1, 7)),
        Step("branch7x7dbl_4", inner, (7, 1)),
        Step("branch7x7dbl_5", 192, (1, 7)),
    )
    return Mixed(768, (one, seven, sevens), "average", 192)


def _second_shrink() -> Mixed:
    three: Branch = (Step("branch3x3_1", 192), Step("branch3x3_2", 320, (3, 3), stride=2))
    sevens: Branch = (
        Step("branch7x7x3_1", 192),
        Step("branch7x7x3_2", 192, (1, 7)),
        Step("branch7x7x3_3", 192, (7, 1)),
        Step("branch7x7x3_4", 192, (3, 3), stride=2),
    )
    return Mixed(768, (three, sevens), "shrink")


def _forked_threes(channels: int, pool: Pool) -> Mixed:
    one: Branch = (Step("branch1x1", 320),)
    three: Branch = (
        Step("branch3x3_1", 384),
        (Step("branch3x3_2a", 384, (1, 3)), Step("branch3x3_2b", 384, (3, 1))),
    )
    threes: Branch = (
        Step("branch3x3dbl_1", 448),
        Step("branch3x3dbl_2", 384, (3, 3)),
        (Step("branch3x3dbl_3a", 384, (1, 3)), Step("branch3x3dbl_3b", 384, (3, 1))),
    )
    return Mixed(channels, (one, three, threes), pool, 192)
