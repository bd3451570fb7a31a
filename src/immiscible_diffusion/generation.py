"""Images from a trained network, drawn or repaired: fresh Gaussian noise in, bytes out."""

import torch
from torch import Tensor, nn

from immiscible_diffusion.data import to_clean, to_pixels
from immiscible_diffusion.editing import inpaint
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.sampling import sample

SHEET_IMAGES = 36
SHEET_EVALUATIONS = 50


def generate(
    experiment: Experiment,
    network: nn.Module,
    shape: tuple[int, int, int],
    count: int,
    evaluations: int,
    generator: torch.Generator,
    *,
    labels: Tensor | None = None,
    sampler: str | None = None,
    batch_size: int = 256,
) -> Tensor:
    """Sample images as bytes, uint8 [count, C, H, W], from independent Gaussian noise always.

    evaluations: sampler steps. labels: int64 [count], for class-conditional networks. Equal generator states
    give equal noise, whatever the network was trained with.
    """
    device = next(network.parameters()).device
    noise = torch.randn(count, *shape, generator=generator, device=generator.device).to(device)
    clean = sample(
        experiment.objective,
        network,
        noise,
        evaluations,
        sampler=sampler,
        condition=None if labels is None else labels.to(device),
        batch_size=batch_size,
    )
    return to_pixels(clean, experiment.image_std).cpu()


def sample_sheet(
    experiment: Experiment, network: nn.Module, shape: tuple[int, int, int], classes: int | None
) -> Tensor:
    """Sample the fixed sheet that a run's progress is watched on, uint8 [36, C, H, W]."""
    labels = torch.arange(SHEET_IMAGES) % classes if classes else None
    generator = generator_for(experiment.seed, "samples")
    return generate(experiment, network, shape, SHEET_IMAGES, SHEET_EVALUATIONS, generator, labels=labels)


def repaint(
    experiment: Experiment,
    network: nn.Module,
    pixels: Tensor,
    hole: Tensor,
    evaluations: int,
    generator: torch.Generator,
    *,
    labels: Tensor | None = None,
    resampling: int = 1,
    churn: float = 1.0,
) -> Tensor:
    """Paint the hole of images, uint8 [N, C, H, W]; every byte outside it comes back as it was.

    hole: bool [H, W], True where pixels are missing. evaluations: sampler steps. resampling, churn: as in
    `editing.inpainting_steps`. Equal generator states give equal noise, whatever the training.
    """
    device = next(network.parameters()).device
    painted = inpaint(
        experiment.objective,
        network,
        to_clean(pixels, experiment.image_std).to(device),
        hole.to(device),
        evaluations,
        generator=generator,
        resampling=resampling,
        churn=churn,
        condition=None if labels is None else labels.to(device),
    )
    return torch.where(hole, to_pixels(painted, experiment.image_std).cpu(), pixels)
