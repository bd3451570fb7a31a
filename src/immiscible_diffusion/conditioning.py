"""Whether a run's pairing lets the noise tell the condition that the network is given."""

import torch

from immiscible_diffusion.batches import paired_batches
from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.pairing import AssignedWithin, Independent, Pairing
from immiscible_diffusion.pairing.skew import Skew, measure_skew
from immiscible_diffusion.training import make_batch

ROWS = 4096  # to measure on; a second or two at 32×32


def run_skew(experiment: Experiment, data: ImageData, pairing: Pairing, rows: int = ROWS) -> Skew | None:
    """Measure how much a run's noise alone will tell of its class, on its own first batches.

    rows: about so many. None where the run is unconditional, its pairing cannot look at the class
    (independent, assigned within it), or there are too few rows or classes to say.
    """
    if not experiment.class_conditional or isinstance(pairing, (Independent, AssignedWithin)):
        return None
    steps = range(max(1, rows // experiment.batch_size))
    drawn = list(
        paired_batches(
            lambda step: make_batch(experiment, data, step),
            pairing,
            experiment.seed,
            "skew",
            steps,
            experiment.pairing_window,
        )
    )
    clean, noise = torch.cat([batch.clean for batch, _ in drawn]), torch.cat([noise for _, noise in drawn])
    labels = torch.cat([batch.condition for batch, _ in drawn if batch.condition is not None])
    try:
        return measure_skew(clean, noise, labels)
    except ValueError:
        return None
