"""Named networks: diffusers' U-Net in sizes for 8×8 to 32×32 images, and an MLP for tiny ones."""

import math
from collections.abc import Callable
from typing import Any

import torch
from diffusers import UNet2DModel
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn

from immiscible_diffusion.pairing.suggestions import unknown

Shape = tuple[int, int, int]  # channels, height, width


class ImageUNet(nn.Module):
    """A diffusers `UNet2DModel` called as (noisy [B, C, H, W], time [B], condition [B] or None)."""

    def __init__(self, unet: UNet2DModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        prediction: Tensor = self.unet(noisy, time, class_labels=condition, return_dict=False)[0]
        return prediction


class ResidualMLP(nn.Module):
    """A residual MLP on flattened images: hundreds of steps in seconds on a CPU, for images such as 8×8."""

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int | None,
        width: int = 128,
        blocks: int = 3,
        embed_condition: nn.Module | None = None,  # of conditions that are no class; [B, ...] -> [B, width]
    ) -> None:
        super().__init__()
        size = math.prod(shape)
        self.frequencies = Timesteps(64, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.embed_time = TimestepEmbedding(64, width)
        self.embed_class = nn.Embedding(classes, width) if classes else embed_condition
        self.enter = nn.Linear(size, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks))
        self.modulations = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(blocks))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
            for _ in range(blocks)
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, size))

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        embedding = self.embed_time(self.frequencies(time).to(noisy.dtype))
        if self.embed_class is not None and condition is not None:
            embedding = embedding + self.embed_class(condition)
        embedding = nn.functional.silu(embedding)
        hidden = self.enter(noisy.flatten(1))
        for norm, modulation, block in zip(self.norms, self.modulations, self.blocks, strict=True):
            scale, shift = modulation(embedding).chunk(2, dim=1)
            hidden = hidden + block(norm(hidden) * (1 + scale) + shift)
        prediction: Tensor = self.leave(hidden)
        return prediction.view(noisy.shape)


class PatchUNet(nn.Module):
    """A U-Net on blocks of `patch` × `patch` pixels, each a position with patch² times the channels."""

    def __init__(self, shape: Shape, classes: int | None, patch: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.patch = patch
        inner = (shape[0] * patch**2, shape[1] // patch, shape[2] // patch)
        self.unet = _unet(inner, classes, channels)

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        blocks = nn.functional.pixel_unshuffle(noisy, self.patch)
        prediction: Tensor = nn.functional.pixel_shuffle(self.unet(blocks, time, condition), self.patch)
        return prediction


class NoisePassed(nn.Module):
    """A network narrower than its images: to what it predicts, the noisy image is added, scaled by time.

    Noise fills all dimensions of an image, and would otherwise have to get through the network's fewer.
    """

    def __init__(self, network: nn.Module, width: int = 64) -> None:
        super().__init__()
        self.network = network
        self.frequencies = Timesteps(64, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.scale = nn.Sequential(TimestepEmbedding(64, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        scale = self.scale(self.frequencies(time).to(noisy.dtype))
        passed = scale.view(-1, *(1,) * (noisy.ndim - 1)) * noisy
        prediction: Tensor = self.network(noisy, time, condition) + passed
        return prediction


def _unet(shape: Shape, classes: int | None, channels: tuple[int, ...], **settings: Any) -> ImageUNet:
    levels = len(channels)
    plain = {
        "block_out_channels": channels,
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D",) * (levels - 1) + ("AttnDownBlock2D",),
        "up_block_types": ("AttnUpBlock2D",) + ("UpBlock2D",) * (levels - 1),
        "norm_num_groups": 16,
        "attention_head_dim": 16,
    }
    size = shape[1] if shape[1] == shape[2] else (shape[1], shape[2])
    return ImageUNet(
        UNet2DModel(
            sample_size=size,
            in_channels=shape[0],
            out_channels=shape[0],
            num_class_embeds=classes,
            **{**plain, **settings},
        )
    )


def _paper_unet(shape: Shape, classes: int | None) -> ImageUNet:
    """The DDPM CIFAR-10 network: 35,746,307 parameters, as in google/ddpm-cifar10-32."""
    return _unet(
        shape,
        classes,
        (128, 256, 256, 256),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=32,
        attention_head_dim=None,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
    )


NETWORKS: dict[str, Callable[[Shape, int | None], nn.Module]] = {
    "mlp": ResidualMLP,
    "mlp-wide": lambda shape, classes: NoisePassed(ResidualMLP(shape, classes, width=256)),
    "unet-patch": lambda shape, classes: NoisePassed(PatchUNet(shape, classes, 4, (32, 64))),
    "unet-tiny": lambda shape, classes: _unet(shape, classes, (32, 64), layers_per_block=2),
    "unet-small": lambda shape, classes: _unet(shape, classes, (32, 48, 64)),
    "unet-medium": lambda shape, classes: _unet(shape, classes, (64, 96, 128), layers_per_block=2),
    "unet-paper": _paper_unet,
}


def build_network(name: str, shape: Shape, classes: int | None = None, *, seed: int = 0) -> nn.Module:
    """Build a network by name, its weights a function of `seed` alone.

    name: "mlp", "mlp-wide" (784 pixels in 0.03 CPU-seconds a step), "unet-tiny" (8×8), "unet-patch" (32×32 on
        blocks of 4×4), "unet-small" (28×28, 32×32), "unet-medium", or "unet-paper" (the paper's 35.7 M
        parameters on CIFAR-10). shape: channels, height, width. classes: None for unconditional.
    The result is called as network(noisy [B, C, H, W], time [B], condition int64 [B] or None).
    Raises ValueError for an unknown name, or an image too small or uneven for the U-Net's levels.
    """
    if name not in NETWORKS:
        raise ValueError(unknown("network", name, NETWORKS))
    halvings = {"unet-tiny": 1, "unet-small": 2, "unet-medium": 2, "unet-patch": 3, "unet-paper": 3}.get(
        name, 0
    )
    if shape[1] % 2**halvings or shape[2] % 2**halvings:
        raise ValueError(
            f"network {name!r} halves the image {halvings} times, so height and width must divide by "
            f"{2**halvings}, got {shape[1]}×{shape[2]}; choose a smaller network or another resolution"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name](shape, classes)


def parameter_count(network: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
