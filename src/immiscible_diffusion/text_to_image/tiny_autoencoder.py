"""The tiny FLUX.2 autoencoder (taef2, madebyollin/taesd), as a model that diffusers can save."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import Tensor, nn

WIDTH, LATENTS, MIDDLE = 64, 32, 256
ENCODER_FILE, DECODER_FILE = "taef2_encoder.pth", "taef2_decoder.pth"


class Block(nn.Module):
    """Three convolutions around a skip; `pooled` adds the group-normalised middle of taef2's inner stages."""

    def __init__(self, pooled: bool = False) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(), nn.ReLU(), _conv(), nn.ReLU(), _conv())
        self.pool = (
            nn.Sequential(
                nn.Conv2d(WIDTH, MIDDLE, 1, bias=False),
                nn.GroupNorm(4, MIDDLE),
                nn.ReLU(),
                nn.Conv2d(MIDDLE, WIDTH, 1, bias=False),
            )
            if pooled
            else None
        )

    def forward(self, hidden: Tensor) -> Tensor:
        if self.pool is not None:
            hidden = hidden + self.pool(hidden)
        return nn.functional.relu(self.conv(hidden) + hidden)


class Squash(nn.Module):
    """Keep latents within ±3, as the decoder was trained."""

    def forward(self, latents: Tensor) -> Tensor:
        return torch.tanh(latents / 3) * 3


class TinyFlux2Autoencoder(ModelMixin, ConfigMixin):
    """taef2: images [B, 3, H, W] in [−1, 1] to latents [B, 32, H/8, W/8] and back; 1.3 M parameters a side.

    latent_mean, latent_std: a number for each channel; latents leave `encode` standardised by them, and enter
    `decode` so. None leaves them as they are.
    diffusers' `AutoencoderTiny` has no group-normalised blocks, so it cannot hold these weights.
    """

    @register_to_config
    def __init__(
        self,
        latent_mean: Sequence[float] | None = None,
        latent_std: Sequence[float] | None = None,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
        latent_channels: int = LATENTS,
        block_out_channels: Sequence[int] = (WIDTH,) * 4,  # pipelines read the factor 8 from its length
    ) -> None:
        super().__init__()
        down = [_conv(stride=2, bias=False) for _ in range(3)]
        self.encoder = nn.Sequential(
            *(_conv(3), Block(), down[0], Block(), Block(), Block(), down[1], Block(), Block(), Block()),
            *(down[2], Block(True), Block(True), Block(True), _conv(out=LATENTS)),
        )
        up = [(nn.Upsample(scale_factor=2), _conv(bias=False)) for _ in range(3)]
        self.decoder = nn.Sequential(
            *(Squash(), _conv(LATENTS), nn.ReLU(), Block(True), Block(True), Block(True), *up[0]),
            *(Block(), Block(), Block(), *up[1], Block(), Block(), Block(), *up[2], Block(), _conv(out=3)),
        )

    def encode(self, images: Tensor, return_dict: bool = True) -> AutoencoderTinyOutput | tuple[Tensor]:
        """Turn images [B, 3, H, W] in [−1, 1] into latents [B, 32, H/8, W/8]."""
        latents = self.encoder(images * 0.5 + 0.5)
        mean, std = self._scale(latents)
        latents = (latents - mean) / std
        return AutoencoderTinyOutput(latents=latents) if return_dict else (latents,)

    def decode(
        self, latents: Tensor, generator: torch.Generator | None = None, return_dict: bool = True
    ) -> DecoderOutput | tuple[Tensor]:
        """Turn latents [B, 32, h, w] into images [B, 3, 8h, 8w] in about [−1, 1]."""
        mean, std = self._scale(latents)
        images = self.decoder(latents * std + mean) * 2 - 1
        return DecoderOutput(sample=images) if return_dict else (images,)

    def _scale(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, LATENTS, 1, 1)
        mean, std = self.config.latent_mean, self.config.latent_std
        return (
            latents.new_zeros(shape) if mean is None else latents.new_tensor(mean).view(shape),
            latents.new_ones(shape) if std is None else latents.new_tensor(std).view(shape),
        )


def load_taef2(folder: Path) -> TinyFlux2Autoencoder:
    """Read taef2 from a folder with taef2_encoder.pth and taef2_decoder.pth; float32, on the CPU.

    Raises FileNotFoundError where one is absent, ValueError where one is damaged or of another network.
    """
    network: TinyFlux2Autoencoder = TinyFlux2Autoencoder()
    for name, part in ((ENCODER_FILE, network.encoder), (DECODER_FILE, network.decoder)):
        file = folder / name
        if not file.exists():
            raise FileNotFoundError(
                f"autoencoder {str(folder)!r} lacks {name}; put both files of taef2 there (github.com/"
                "madebyollin/taesd), or give the folder of a diffusers autoencoder"
            )
        try:
            weights: Mapping[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
            part.load_state_dict({key: value.float() for key, value in weights.items()})
        except Exception as error:  # torch has several kinds for a file that is not one of its own
            raise ValueError(
                f"autoencoder file {file} cannot be read as taef2 ({type(error).__name__}: "
                f"{str(error).splitlines()[0] if str(error) else ''}); download it again"
            ) from error
    network.eval().requires_grad_(False)
    return network


def _conv(into: int = WIDTH, out: int = WIDTH, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(into, out, 3, padding=1, stride=stride, bias=bias)
