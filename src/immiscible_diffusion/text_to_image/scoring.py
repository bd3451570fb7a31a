"""How far a text-to-image model's decoded images are from real ones, in comparisons and by itself."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from immiscible_diffusion.comparison.subject import Subject
from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.evaluation import Distances, Reference
from immiscible_diffusion.runs.loop import Schedule
from immiscible_diffusion.scoring import Scores, as_record, score_drawn
from immiscible_diffusion.text_to_image.embeddings import EmbeddedPrompts
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment
from immiscible_diffusion.text_to_image.generation import TextToImage, draw_images, drawn_prompts
from immiscible_diffusion.text_to_image.runs import (
    REFERENCE_IMAGES,
    LoadedData,
    TextToImageRun,
    advance_text_to_image,
    load_text_to_image_data,
    open_text_to_image_run,
)
from immiscible_diffusion.training import TrainingStep


def real_images(loaded: LoadedData) -> ImageData:
    """The images that distances are measured to: all, or 50,000 evenly spaced."""
    return loaded.images.in_memory(loaded.training.latents.rows, REFERENCE_IMAGES)


def score_text_to_image(
    model: TextToImage,
    prompts: EmbeddedPrompts,
    seed: int,
    guidance: float,
    reference: Reference,
    evaluations: Iterable[int | None],
    count: int,
    *,
    sampler: str | None = None,
    tolerance: float | None = None,
    report: Callable[[int | None, Distances], None] | None = None,
) -> Scores:
    """Sample `count` images of prompts drawn as the data has them, and measure their distance to real ones.

    Noise and prompts are functions of `seed` alone: equal for every pairing, step and network.
    """
    embeddings = drawn_prompts(prompts, seed, count)

    def draw(number: int | None, generator: torch.Generator) -> Tensor:
        return draw_images(
            model, embeddings, number, generator, guidance=guidance, sampler=sampler, tolerance=tolerance
        )

    return score_drawn(draw, seed, reference, evaluations, report=report)


def run_record(
    run: TextToImageRun, network: nn.Module, reference: Reference, evaluations: int, count: int
) -> dict[str, Any]:
    """Measure a network while it trains, as a record for metrics.jsonl."""
    scores, _ = _score(run, network, reference, (evaluations,), count)
    return as_record(scores[evaluations], evaluations, count) | {"guidance": str(run.experiment.guidance)}


def _score(
    run: TextToImageRun, network: nn.Module, reference: Reference, evaluations: tuple[int, ...], count: int
) -> Scores:
    one = run.experiment
    model = run.model(network)
    return score_text_to_image(model, run.data.prompts, one.seed, one.guidance, reference, evaluations, count)


def _open(experiment: TextToImageExperiment, folder: Path, loaded: LoadedData) -> TextToImageRun:
    return open_text_to_image_run(experiment, folder, resume=True, loaded=loaded)


def _advance(run: TextToImageRun, schedule: Schedule) -> Iterator[TrainingStep]:
    return advance_text_to_image(run, schedule)


# What `run_comparison` needs to know of text-to-image models.
SUBJECT = Subject(load_text_to_image_data, real_images, _open, _advance, _score)
