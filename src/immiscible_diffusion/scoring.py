"""How far a network's images are from real ones: fresh Gaussian noise, the same for every pairing."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.evaluation import Distances, Reference, distances
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.generation import Start, generate
from immiscible_diffusion.randomness import derived_seed, generator_for

# Distances, and the images that they are of, by number of network evaluations.
Scores = tuple[dict[int | None, Distances], dict[int | None, Tensor]]


def evaluation_labels(experiment: Experiment, data_labels: Tensor | None, count: int) -> Tensor | None:
    """Draw the classes to generate as often as the data has them, int64 [count]; None if unconditional."""
    if not experiment.class_conditional or data_labels is None:
        return None
    generator = generator_for(experiment.seed, "evaluation", step=1)
    return data_labels[torch.randint(len(data_labels), (count,), generator=generator)]


def score_network(
    experiment: Experiment,
    network: nn.Module,
    data: ImageData,
    reference: Reference,
    evaluations: Iterable[int | None],
    count: int,
    *,
    sampler: str | None = None,
    tolerance: float | None = None,
    report: Callable[[int | None, Distances], None] | None = None,
    start: Start | None = None,
) -> Scores:
    """Sample `count` images at each number of network evaluations, and measure their distance to real ones.

    The noise is a function of the experiment's seed alone: equal for every pairing, step and network.
    start: as in `generate`. evaluations: (None,) for dopri5, which takes `tolerance`. report: called with
    each result as it is ready.
    Returns distances and images (uint8 [count, C, H, W]) by number of evaluations.
    """
    labels = evaluation_labels(experiment, data.labels, count)

    def draw(number: int | None, generator: torch.Generator) -> Tensor:
        return generate(
            experiment,
            network,
            data.shape,
            count,
            number,
            generator,
            labels=labels,
            sampler=sampler,
            tolerance=tolerance,
            start=start,
        )

    return score_drawn(draw, experiment.seed, reference, evaluations, report=report)


def score_drawn(
    draw: Callable[[int | None, torch.Generator], Tensor],
    seed: int,
    reference: Reference,
    evaluations: Iterable[int | None],
    *,
    report: Callable[[int | None, Distances], None] | None = None,
) -> Scores:
    """Measure what `draw` samples at each number of network evaluations; see `score_network`.

    draw: number of evaluations and generator of the noise -> uint8 [N, C, H, W].
    """
    scores: dict[int | None, Distances] = {}
    images: dict[int | None, Tensor] = {}
    for number in evaluations:
        images[number] = draw(number, generator_for(seed, "evaluation"))
        scores[number] = distances(
            reference, images[number], seed=derived_seed(seed, "evaluation", 2) % 2**31
        )
        if report:
            report(number, scores[number])
    return scores, images


def distance_record(
    experiment: Experiment,
    network: nn.Module,
    data: ImageData,
    reference: Reference,
    evaluations: int,
    count: int,
) -> dict[str, Any]:
    """Measure a network while it trains, as a record for metrics.jsonl; "distance" is the Fréchet one."""
    scores, _ = score_network(experiment, network, data, reference, [evaluations], count)
    return as_record(scores[evaluations], evaluations, count)


def as_record(scored: Distances, evaluations: int, count: int) -> dict[str, Any]:
    """One measurement as a record for metrics.jsonl."""
    return {
        "distance": scored.frechet,
        "kernel_distance": scored.kernel,
        "distance_name": scored.distance_name,
        "features": scored.features,
        "evaluations": evaluations,
        "count": count,
    }
