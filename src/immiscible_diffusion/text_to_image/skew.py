"""How much a run's paired noise alone tells of its prompt, which the noise of sampling does not."""

import dataclasses

import torch
from torch import Tensor

from immiscible_diffusion.batches import paired_batches
from immiscible_diffusion.pairing import AssignedWithin, Independent, Pairing
from immiscible_diffusion.pairing.skew import Skew, measure_skew, told_variance
from immiscible_diffusion.pairing.within import similar_rows
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment
from immiscible_diffusion.text_to_image.prompts import CLASS_NAMES, caption_choice
from immiscible_diffusion.text_to_image.training import TextToImageData, text_batch

ROWS = 4096
KINDS = 16  # that captions are sorted into, as no two are alike


def text_skew(
    experiment: TextToImageExperiment, data: TextToImageData, pairing: Pairing, rows: int = ROWS
) -> Skew | None:
    """Measure it on a run's own first batches, about `rows` rows.

    Captions, those drawn, are sorted into 16 kinds by their embeddings, whose variance told is measured too;
    class names are the kinds otherwise. None where the pairing cannot look at the prompt (independent,
    assigned within it), or there are too few rows or kinds.
    """
    if isinstance(pairing, (Independent, AssignedWithin)):
        return None
    cleans, noises, numbers, choices = [], [], [], []
    steps = range(max(1, rows // experiment.batch_size))
    drawn = paired_batches(
        lambda step: text_batch(experiment, data, step),
        pairing,
        experiment.seed,
        "skew",
        steps,
        experiment.pairing_window,
    )
    for step, (batch, noise) in zip(steps, drawn, strict=True):
        cleans.append(batch.clean)
        noises.append(noise)
        numbers.append(batch.rows)
        choices.append(caption_choice(data.prompts.prompts, batch.rows, experiment.seed, step))
    clean, noise, rows_seen = torch.cat(cleans), torch.cat(noises), torch.cat(numbers)
    pooled = data.prompts.pooled(rows_seen, torch.cat(choices))
    captions = data.prompts.prompts.origin != CLASS_NAMES
    try:
        skew = measure_skew(clean, noise, _groups(pooled) if captions else _classes(data, rows_seen))
    except ValueError:
        return None
    return dataclasses.replace(skew, told=told_variance(clean, noise, pooled)) if captions else skew


def _classes(data: TextToImageData, rows: Tensor) -> Tensor:
    texts = [data.prompts.prompts.texts[row][0] for row in rows.tolist()]
    return torch.tensor([data.prompts.numbers[text] for text in texts])


def _groups(pooled: Tensor) -> Tensor:
    """What kind of caption each row has, by its embedding [N, width]: int64 [N]."""
    kinds = torch.empty(len(pooled), dtype=torch.int64)
    for number, members in enumerate(similar_rows(pooled, -(-len(pooled) // KINDS))):
        kinds[members] = number
    return kinds
