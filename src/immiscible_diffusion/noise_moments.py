"""What pairing leaves of the noise's law once its images are forgotten: a mean and a std to start from.

Vanilla noise is N(0, I). Nearest noise is shorter, and leans where images do if it is not centred; a network
trained with it has never seen N(0, I), which sampling starts from.
"""

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from immiscible_diffusion.batches import paired_batches
from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.pairing import Pairing, in_force
from immiscible_diffusion.training import make_batch

DRAWN = 16_384  # paired noises, of which the mean's length errs by √(D/N): 0.06 σ at 64 values, 0.43 at 3,072


@dataclass(frozen=True, eq=False)
class Marginal:
    """A Gaussian like the noise that a pairing leaves. mean: [C, H, W]. std: of every value."""

    mean: Tensor
    std: float

    def start(self, noise: Tensor) -> Tensor:
        """Make of N(0, I) [B, C, H, W] what this marginal draws."""
        return self.mean.to(noise) + self.std * noise


def paired_rows(
    experiment: Experiment, data: ImageData, pairing: Pairing, count: int, step: int = 0
) -> tuple[Tensor, Tensor]:
    """Draw `count` training images and the noise that the end of training pairs them with, [count, C, H, W].

    step: another number draws other images and noises.
    """
    last = in_force(pairing, 1 - 1 / (2 * experiment.steps))
    batches = math.ceil(count / experiment.batch_size)
    first = (step + 1) * 1_000_000
    # Not of the run's own length: a run made longer keeps its moments.
    long = dataclasses.replace(experiment, steps=(step + 1) * batches)
    drawn = list(
        paired_batches(
            lambda at: make_batch(long, data, step * batches + at - first),
            last,
            experiment.seed,
            "marginal",
            range(first, first + batches),
            experiment.pairing_window,
        )
    )
    clean, noise = (
        torch.cat(parts)[:count] for parts in ([b.clean for b, _ in drawn], [n for _, n in drawn])
    )
    return clean, noise


def lean(clean: Tensor, noise: Tensor, centre: Tensor) -> float:
    """Mean projection of paired noise on the direction of its image minus `centre`, in σ; 0 for vanilla."""
    directions = torch.nn.functional.normalize((clean - centre).flatten(1), dim=1)
    return float((noise.flatten(1) * directions).sum(dim=1).mean())


def fitted_marginal(noise: Tensor) -> Marginal:
    """Fit mean and std to noise [N, C, H, W].

    The mean is shrunk towards 0 by what N draws of it err (James and Stein's estimator), since in many
    dimensions that alone would be as long as a true shift.
    """
    mean = noise.double().mean(dim=0)
    std = float((noise - mean).square().mean().sqrt())
    error = (mean.numel() - 2) * std**2 / len(noise)
    kept = max(0.0, 1 - error / max(float(mean.square().sum()), 1e-300))
    return Marginal((kept * mean).float(), std)
