"""Images from a trained network: fresh Gaussian noise in, bytes out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from immiscible_diffusion.data.images import to_pixels
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.sampling import sample

SHEET_IMAGES = 36
Start = Callable[[Tensor], Tensor]  # N(0, I) [B, ...] to what sampling starts from instead


@dataclass
class Evaluations:
    """How often a network was evaluated, every image counted for itself."""

    images: int = 0

    def per_image(self, count: int) -> float:
        """Mean number of evaluations for each of `count` images."""
        return self.images / count


@contextmanager
def counted_evaluations(network: nn.Module) -> Iterator[Evaluations]:
    """Count the evaluations of `network` within a `with` block, as they happen."""
    counted = Evaluations()

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        counted.images += len(inputs[0])

    hook = network.register_forward_pre_hook(count)
    try:
        yield counted
    finally:
        hook.remove()


def generate(
    experiment: Experiment,
    network: nn.Module,
    shape: tuple[int, int, int],
    count: int,
    evaluations: int | None,
    generator: torch.Generator,
    *,
    labels: Tensor | None = None,
    sampler: str | None = None,
    tolerance: float | None = None,
    batch_size: int = 256,
    start: Start | None = None,
) -> Tensor:
    """Sample images as bytes, uint8 [count, C, H, W], from independent Gaussian noise.

    start: what is made of N(0, I) first, such as `Marginal.start`; nothing by default.
    evaluations: sampler steps; None for dopri5. labels: int64 [count], for class-conditional networks.
    tolerance: dopri5's. Equal generator states give equal noise, whatever the network was trained with.
    """
    device = next(network.parameters()).device
    noise = torch.randn(count, *shape, generator=generator, device=generator.device).to(device)
    if start is not None:
        noise = start(noise)
    clean = sample(
        experiment.objective,
        network,
        noise,
        evaluations,
        sampler=sampler,
        condition=None if labels is None else labels.to(device),
        tolerance=tolerance,
        generator=generator,
        batch_size=batch_size,
    )
    return to_pixels(clean, experiment.image_std).cpu()


def sample_sheet(
    experiment: Experiment, network: nn.Module, shape: tuple[int, int, int], classes: int | None
) -> Tensor:
    """Sample the fixed sheet that a run's progress is watched on, uint8 [36, C, H, W]."""
    labels = torch.arange(SHEET_IMAGES) % classes if classes else None
    generator = generator_for(experiment.seed, "samples")
    most = experiment.objective.evaluations[-1]
    return generate(experiment, network, shape, SHEET_IMAGES, most, generator, labels=labels)
