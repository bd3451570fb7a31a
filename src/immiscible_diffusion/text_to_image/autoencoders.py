"""Autoencoders: images to latents and back, opened from a folder or the hub, with the scale to train at."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from immiscible_diffusion.hub_download import model_folder
from immiscible_diffusion.kept_tensors import checksum
from immiscible_diffusion.text_to_image.tiny_autoencoder import (
    DECODER_FILE,
    ENCODER_FILE,
    TinyFlux2Autoencoder,
    load_taef2,
)

FILES = ("config.json", "*.safetensors", "model_index.json", "vae/config.json", "vae/*.safetensors")
PIECE = 32  # images that go through the network at once


@dataclass(frozen=True, eq=False)
class Autoencoder:
    """A frozen autoencoder in float32 on the CPU, until `moved`."""

    name: str  # as it was opened
    module: nn.Module  # diffusers' AutoencoderKL or AutoencoderTiny, or a `TinyFlux2Autoencoder`
    channels: int  # of a latent
    factor: int  # pixels a latent stands for, along each side
    scaling: float | None  # what its authors multiply latents by for training; None where they say nothing
    shift: float  # what they subtract before
    fingerprint: str  # changes when any weight or setting does

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def moved(self, device: torch.device | str) -> "Autoencoder":
        """Move its network to a device, in place."""
        self.module.to(device)
        return self

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Channels, height and width of an image's latent. Raises ValueError where a side does not divide."""
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"images of {height}×{width} do not divide by {self.factor}, which autoencoder "
                f"{self.name!r} shrinks them by; give a --resolution that does"
            )
        return self.channels, height // self.factor, width // self.factor


@dataclass(frozen=True, eq=False)
class LatentScale:
    """How latents are brought to about mean 0 and std 1 for training, channel by channel, and back."""

    mean: Tensor  # float32 [C, 1, 1]
    std: Tensor  # float32 [C, 1, 1]

    def clean(self, raw: Tensor) -> Tensor:
        """Scale what the autoencoder gives, [N, C, h, w], to training scale."""
        return (raw.float() - self.mean.to(raw.device)) / self.std.to(raw.device)

    def raw(self, clean: Tensor) -> Tensor:
        """The inverse of `clean`."""
        return clean.float() * self.std.to(clean.device) + self.mean.to(clean.device)


def open_autoencoder(name: str) -> Autoencoder:
    """Open an autoencoder.

    name: a folder that diffusers' `save_pretrained` wrote, of an autoencoder or a whole pipeline (then its
        `vae`); a folder with taef2's two files; or such a repository on the hub, OWNER/NAME.
    Raises FileNotFoundError where there is none or the hub does not give it, ValueError where it is damaged
    or is no autoencoder of RGB images.
    """
    path = model_folder(name, "autoencoder", FILES)
    if (path / ENCODER_FILE).exists() or (path / DECODER_FILE).exists():
        # The authors give no scale for it: it is measured.
        return _described(name, load_taef2(path), scaling=None)
    module = _from_diffusers(name, path)
    return _described(name, module, scaling=module.config.scaling_factor)


@torch.no_grad()
def encode(
    autoencoder: Autoencoder, pixels: Tensor, *, dtype: torch.dtype = torch.float32, piece: int = PIECE
) -> Tensor:
    """Turn images, uint8 [N, 3, H, W], into latents, float32 [N, C, h, w] on the CPU, unscaled.

    The mean of the latent's distribution is taken where there is one. dtype: of the network's work, float32
    or bfloat16. piece: images at once.
    """
    made = []
    for part in pixels.split(piece):
        images = part.to(autoencoder.device).float() / 127.5 - 1
        with torch.autocast(images.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            coded = autoencoder.module.encode(images)  # type: ignore[operator]
            latents = coded.latent_dist.mode() if hasattr(coded, "latent_dist") else coded.latents
        made.append(latents.float().cpu())
    return torch.cat(made)


@torch.no_grad()
def decode(
    autoencoder: Autoencoder, raw: Tensor, *, dtype: torch.dtype = torch.float32, piece: int = PIECE
) -> Tensor:
    """Turn unscaled latents [N, C, h, w] into images, uint8 [N, 3, H, W] on the CPU; see `encode`."""
    made = []
    for part in raw.split(piece):
        latents = part.to(autoencoder.device).float()
        with torch.autocast(latents.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            images = autoencoder.module.decode(latents, return_dict=False)[0]  # type: ignore[operator]
        scaled = (images.float() / 2 + 0.5).clamp(0, 1)
        made.append((scaled * 255).round().to(torch.uint8).cpu())
    return torch.cat(made)


def _from_diffusers(name: str, folder: Path) -> Any:
    from diffusers import AutoModel

    path = folder / "vae" if (folder / "model_index.json").exists() else folder
    if not (path / "config.json").exists():
        raise FileNotFoundError(
            f"autoencoder {name!r} is no folder of one: it has neither config.json nor {ENCODER_FILE}; "
            "give a folder that diffusers' save_pretrained wrote"
        )
    try:
        if json.loads((path / "config.json").read_text()).get("_class_name") == TinyFlux2Autoencoder.__name__:
            return TinyFlux2Autoencoder.from_pretrained(path).eval().requires_grad_(False)
        module = AutoModel.from_pretrained(str(path), torch_dtype=torch.float32, use_safetensors=True)
    except Exception as error:  # diffusers and safetensors have a dozen kinds
        raise ValueError(
            f"autoencoder {name!r} could not be loaded ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}); put the folder back as diffusers wrote it"
        ) from error
    if not hasattr(module, "encode") or not hasattr(module, "decode"):
        raise ValueError(
            f"autoencoder {name!r} is a {type(module).__name__}, which encodes no images; "
            "give the folder of an AutoencoderKL or AutoencoderTiny"
        )
    return module.eval().requires_grad_(False)


def _described(name: str, module: Any, scaling: float | None) -> Autoencoder:
    config = {key: value for key, value in dict(module.config).items() if not key.startswith("_")}
    if config.get("in_channels", 3) != 3:
        raise ValueError(
            f"autoencoder {name!r} takes images of {config['in_channels']} channels; give one of RGB images"
        )
    settings = json.dumps([type(module).__name__, config], sort_keys=True, default=str)
    weights = checksum(module.state_dict())
    return Autoencoder(
        name=name,
        module=module,
        channels=int(config["latent_channels"]),
        factor=2 ** (len(config["block_out_channels"]) - 1),
        scaling=scaling,
        shift=float(config.get("shift_factor") or 0.0),
        fingerprint=checksum({settings: torch.zeros(0), weights: torch.zeros(0)})[:32],
    )
