"""How much a run's paired noise alone tells of its prompt, which the noise of sampling does not."""

import torch
from torch import Tensor

from immiscible_diffusion.pairing import AssignedWithin, Independent, Pairing
from immiscible_diffusion.pairing.skew import Skew, measure_skew
from immiscible_diffusion.pairing.within import similar_rows
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment
from immiscible_diffusion.text_to_image.prompts import CLASS_NAMES
from immiscible_diffusion.text_to_image.training import TextToImageData, text_batch

ROWS = 4096
KINDS = 16  # that captions are sorted into, as no two are alike


def text_skew(
    experiment: TextToImageExperiment, data: TextToImageData, pairing: Pairing, rows: int = ROWS
) -> Skew | None:
    """Measure it on a run's own first batches, about `rows` rows.

    Captions are sorted into 16 kinds by their embeddings; class names are the kinds otherwise. None where the
    pairing cannot look at the prompt (independent, assigned within it), or there are too few rows or kinds.
    """
    if isinstance(pairing, (Independent, AssignedWithin)):
        return None
    cleans, noises, numbers = [], [], []
    for step in range(max(1, rows // experiment.batch_size)):
        batch = text_batch(experiment, data, step)
        generator = generator_for(experiment.seed, "skew", step)
        cleans.append(batch.clean)
        noises.append(pairing(batch.clean, generator=generator, condition=batch.condition))
        numbers.append(batch.rows)
    try:
        return measure_skew(torch.cat(cleans), torch.cat(noises), _kinds(data, torch.cat(numbers)))
    except ValueError:
        return None


def _kinds(data: TextToImageData, rows: Tensor) -> Tensor:
    """What kind of prompt each row has, int64 [N]."""
    prompts = data.prompts
    if prompts.prompts.origin == CLASS_NAMES:
        texts = [prompts.prompts.texts[row][0] for row in rows.tolist()]
        return torch.tensor([prompts.numbers[text] for text in texts])
    kinds = torch.empty(len(rows), dtype=torch.int64)
    pooled = prompts.pooled(rows, torch.zeros_like(rows))
    for number, members in enumerate(similar_rows(pooled, -(-len(rows) // KINDS))):
        kinds[members] = number
    return kinds
