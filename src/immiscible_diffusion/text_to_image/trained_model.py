"""The averaged network of a text-to-image run's checkpoint, with what reads prompts and what paints."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from immiscible_diffusion.runs.checkpoints import trained_checkpoint, with_averages
from immiscible_diffusion.runs.folder import read_description
from immiscible_diffusion.text_to_image.autoencoders import LatentScale
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment
from immiscible_diffusion.text_to_image.generation import TextToImage
from immiscible_diffusion.text_to_image.runs import read_text_to_image
from immiscible_diffusion.text_to_image.starting import (
    experiment_autoencoder,
    experiment_text_encoder,
    start_network,
)
from immiscible_diffusion.text_to_image.text_encoders import TextEncoder

# What data.json must have to sample.
DESCRIBED = ("autoencoder", "text_encoder", "latent_shape", "latent_mean", "latent_std")


@dataclass(frozen=True, eq=False)
class TrainedTextToImage:
    """What sampling from a finished (or interrupted) run needs."""

    experiment: TextToImageExperiment
    model: TextToImage  # averaged weights, in evaluation mode
    encoder: TextEncoder
    step: int

    @property
    def network(self) -> nn.Module:
        return self.model.network

    def moved(self, device: torch.device) -> "TrainedTextToImage":
        """Move all networks to a device, in place."""
        self.network.to(device)
        self.model.autoencoder.moved(device)
        self.encoder.model.to(device)
        return self


def load_trained_text_to_image(folder: Path, checkpoint: str = "newest") -> TrainedTextToImage:
    """Load the averaged network of a run's checkpoint with its autoencoder and text encoder, on the CPU.

    checkpoint: as for `load_trained`. Raises FileNotFoundError where the folder holds no run or not that
    checkpoint, or where a network is gone that the run names; ValueError where one is not what it was.
    """
    experiment = read_text_to_image(folder)
    described = read_description(folder, DESCRIBED)
    held = trained_checkpoint(folder, checkpoint)
    autoencoder, encoder = experiment_autoencoder(experiment), experiment_text_encoder(experiment)
    for name, found in (("autoencoder", autoencoder), ("text_encoder", encoder)):
        if found.fingerprint != described[name]:
            raise ValueError(
                f"{name} {found.name!r} is not what run {str(folder)!r} was trained with: fingerprint "
                f"{found.fingerprint}, then {described[name]}; put it back as it was"
            )
    shape = tuple(described["latent_shape"])
    network = with_averages(start_network(experiment, shape, autoencoder.name, encoder), held)
    scale = LatentScale(
        *(torch.tensor(described[name])[:, None, None] for name in ("latent_mean", "latent_std"))
    )
    empty = encoder([""])[0].cpu()
    model = TextToImage(experiment.objective, network, autoencoder, scale, shape, empty)
    return TrainedTextToImage(experiment, model, encoder, held.step)
