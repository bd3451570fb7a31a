"""Named networks that read a prompt: diffusers' U-Net up to Stable Diffusion's, and PixArt's DiT."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import PixArtTransformer2DModel, UNet2DConditionModel
from torch import Tensor, nn

from immiscible_diffusion.pairing.suggestions import unknown

Shape = tuple[int, int, int]  # channels, height and width of a latent
PRETRAINED = "pretrained"  # the network of the pipeline that a run starts from


class TextUNet(nn.Module):
    """A `UNet2DConditionModel`, called as (noisy [B, C, h, w], time [B], prompts [B, tokens, width])."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        prediction: Tensor = self.unet(noisy, time, encoder_hidden_states=condition, return_dict=False)[0]
        return prediction


class TextTransformer(nn.Module):
    """A `PixArtTransformer2DModel` (a DiT with cross-attention), called as `TextUNet` is."""

    def __init__(self, transformer: PixArtTransformer2DModel) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        prediction: Tensor = self.transformer(
            noisy, encoder_hidden_states=condition, timestep=time, return_dict=False
        )[0]
        return prediction


def _unet(shape: Shape, width: int, channels: tuple[int, ...], **settings: Any) -> TextUNet:
    """diffusers' U-Net with cross-attention at every level but the innermost, as Stable Diffusion has it."""
    levels = len(channels)
    plain = {
        "block_out_channels": channels,
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
        "norm_num_groups": 16,
        "attention_head_dim": 4,  # heads, by an old mistake in diffusers' names
    }
    return TextUNet(
        UNet2DConditionModel(
            sample_size=_side(shape),
            in_channels=shape[0],
            out_channels=shape[0],
            cross_attention_dim=width,
            **{**plain, **settings},
        )
    )


def _stable_diffusion(shape: Shape, width: int) -> TextUNet:
    """The U-Net of Stable Diffusion 1.x: 859,520,964 parameters with 4 latent channels and prompts of 768."""
    return _unet(
        shape, width, (320, 640, 1280, 1280), layers_per_block=2, norm_num_groups=32, attention_head_dim=8
    )


def _transformer(shape: Shape, width: int, channels: int, layers: int, patch: int) -> TextTransformer:
    heads = channels // 64
    return TextTransformer(
        PixArtTransformer2DModel(
            sample_size=shape[1],
            in_channels=shape[0],
            out_channels=shape[0],
            num_attention_heads=heads,
            attention_head_dim=64,
            num_layers=layers,
            patch_size=patch,
            cross_attention_dim=channels,
            caption_channels=width,
            use_additional_conditions=False,
        )
    )


NETWORKS: dict[str, Callable[[Shape, int], nn.Module]] = {
    "text-unet-tiny": lambda shape, width: _unet(shape, width, (32, 64)),
    "text-unet-small": lambda shape, width: _unet(shape, width, (64, 96)),
    "text-unet-medium": lambda shape, width: _unet(shape, width, (128, 256, 384), layers_per_block=2),
    "stable-diffusion": _stable_diffusion,
    "text-dit-small": lambda shape, width: _transformer(shape, width, 192, 4, 2),
    "text-dit-medium": lambda shape, width: _transformer(shape, width, 384, 12, 2),
}
# How often a side is halved, or the side of a patch.
DIVISORS = {
    "text-unet-tiny": 2,
    "text-unet-small": 2,
    "text-unet-medium": 4,
    "stable-diffusion": 8,
    "text-dit-small": 2,
    "text-dit-medium": 2,
}


def build_text_network(name: str, shape: Shape, width: int, *, seed: int = 0) -> nn.Module:
    """Build a network by name, its weights a function of `seed` alone.

    name: "text-unet-tiny", "text-unet-small", "text-unet-medium", "stable-diffusion" (the shape of 1.x),
        "text-dit-small" or "text-dit-medium". shape: of a latent. width: of the prompts' embeddings.
    Raises ValueError for an unknown name, and latents that the network cannot halve often enough.
    """
    if name not in NETWORKS:
        raise ValueError(unknown("network", name, NETWORKS))
    divisor = DIVISORS[name]
    if shape[1] % divisor or shape[2] % divisor:
        raise ValueError(
            f"network {name!r} needs latents whose sides divide by {divisor}, got {shape[1]}×{shape[2]}; "
            "choose a smaller network or another --resolution"
        )
    if "dit" in name and shape[1] != shape[2]:
        raise ValueError(
            f"network {name!r} needs square latents, got {shape[1]}×{shape[2]}; give a --resolution"
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return NETWORKS[name](shape, width)


def diffusers_model(network: nn.Module) -> Any:
    """The diffusers model inside a network of this file."""
    assert isinstance(network, TextUNet | TextTransformer)
    return network.unet if isinstance(network, TextUNet) else network.transformer


def check_fits(network: nn.Module, shape: Shape, width: int, autoencoder: str, encoder: str) -> None:
    """Raise ValueError where a network takes other latents or prompts than it is given."""
    config = diffusers_model(network).config
    if config.in_channels != shape[0] or config.out_channels != shape[0]:
        raise ValueError(
            f"network and autoencoder disagree: the network takes {config.in_channels} latent channels and "
            f"gives {config.out_channels}, {autoencoder!r} has {shape[0]}; give the --autoencoder that the "
            "network was made for"
        )
    takes = config.cross_attention_dim if isinstance(network, TextUNet) else config.caption_channels
    if takes != width:
        raise ValueError(
            f"network and text encoder disagree: the network takes embeddings of {takes}, {encoder!r} gives "
            f"{width}; give the --text-encoder that the network was made for"
        )


def _side(shape: Shape) -> int | tuple[int, int]:
    return shape[1] if shape[1] == shape[2] else (shape[1], shape[2])
