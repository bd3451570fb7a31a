"""Whether a run's pairing lets the noise tell the condition that the network is given."""

import torch

from immiscible_diffusion.data import ImageData
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.pairing import AssignedWithin, Independent, Pairing
from immiscible_diffusion.pairing.skew import Skew, measure_skew
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.training import make_batch

ROWS = 4096  # to measure on; a second or two at 32×32


def run_skew(experiment: Experiment, data: ImageData, pairing: Pairing, rows: int = ROWS) -> Skew | None:
    """Measure how much a run's noise alone will tell of its class, on its own first batches.

    rows: about so many. None where the run is unconditional, its pairing cannot look at the class
    (independent, assigned within it), or there are too few rows or classes to say.
    """
    if not experiment.class_conditional or isinstance(pairing, (Independent, AssignedWithin)):
        return None
    cleans, noises, labels = [], [], []
    for step in range(max(1, rows // experiment.batch_size)):
        batch = make_batch(experiment, data, step)
        generator = generator_for(experiment.seed, "skew", step)
        cleans.append(batch.clean)
        noises.append(pairing(batch.clean, generator=generator, condition=batch.condition))
        labels.append(batch.condition)
    try:
        return measure_skew(torch.cat(cleans), torch.cat(noises), torch.cat(labels))  # type: ignore[arg-type]
    except ValueError:
        return None
