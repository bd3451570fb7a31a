"""A text-to-image model's training: batches of latents and embedded prompts through the shared loop."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from immiscible_diffusion.batches import Batch
from immiscible_diffusion.data.images import batch_rows
from immiscible_diffusion.pairing import Pairing
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.text_to_image.embeddings import EmbeddedPrompts
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment
from immiscible_diffusion.text_to_image.latents import Latents
from immiscible_diffusion.text_to_image.prompts import caption_choice, dropped
from immiscible_diffusion.training import TrainingStep, steps_on


@dataclass(frozen=True, eq=False)
class TextToImageData:
    """What is trained on: row i of the latents and of the prompts belong to one image."""

    name: str
    latents: Latents
    prompts: EmbeddedPrompts

    @property
    def fingerprint(self) -> str:
        """Changes when an image, a caption, the autoencoder or the text encoder does."""
        text = self.prompts
        return f"{self.latents.fingerprint}-{text.prompts.fingerprint}-{text.encoder.fingerprint}"


def text_batch(
    experiment: TextToImageExperiment, data: TextToImageData, step: int, rank: int = 0, processes: int = 1
) -> Batch:
    """Assemble the batch of step `step` (from 0): rows, versions, captions, dropped prompts and times.

    A function of its arguments, the same for every pairing. Rank r of n takes every n-th row.
    """
    own = slice(rank, None, processes)
    seed, latents = experiment.seed, data.latents
    rows = batch_rows(len(latents), experiment.batch_size, step, seed)
    progress = step / experiment.steps
    time = experiment.objective.draw_times(len(rows), generator_for(seed, "time", step), progress)
    versions = torch.randint(len(latents.raw), (len(rows),), generator=generator_for(seed, "version", step))
    choice = caption_choice(data.prompts.prompts, rows, seed, step)
    without = dropped(rows, experiment.prompt_dropout, seed, step)
    condition = data.prompts.of(rows[own], choice[own], without[own])
    return Batch(latents.clean(rows[own], versions[own]), condition, time[own], rows[own])


def offset_noise(noise: Tensor, generator: torch.Generator, std: float) -> Tensor:
    """Add one N(0, std²) number to each channel of each row, for a model to learn brightness by.

    noise: [B, C, h, w], paired already: pairing first, the offset then, and the target last.
    """
    shape = (*noise.shape[:2], *(1,) * (noise.ndim - 2))
    drawn = torch.randn(shape, generator=generator, device=generator.device)
    return noise + std * drawn.to(noise)


def text_to_image_steps(
    experiment: TextToImageExperiment,
    data: TextToImageData,
    pairing: Pairing,
    network: nn.Module,
    optimizer: Optimizer,
    accelerator: Accelerator,
    first_step: int = 0,
) -> Iterator[TrainingStep]:
    """Train from `first_step` completed steps to the end, yielding after every step; see `steps_on`."""
    std = experiment.noise_offset
    return steps_on(
        experiment,
        lambda step, rank, processes: text_batch(experiment, data, step, rank, processes),
        pairing,
        network,
        optimizer,
        accelerator,
        first_step,
        noise_at=(lambda noise, generator: offset_noise(noise, generator, std)) if std else None,
    )
