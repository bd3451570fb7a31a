"""How near the noise is to its images, against what independent and what nearest noise would be."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from immiscible_diffusion.analysis.laws import expected_distance, winner_moments
from immiscible_diffusion.pairing import Nearest
from immiscible_diffusion.pairing.nearest import Rule

MOST_CANDIDATES = 2**24  # numbers held to see what half precision would choose
TRIED_ROWS = 64
LARGEST_K = 2**20
LONG = 10_000  # numbers in an image


@dataclass(frozen=True, eq=False)
class Images:
    """What distances are measured on, float64: rows [N, D] and their length along what was chosen against."""

    rows: Tensor
    chosen_against: Tensor  # rows less the centre, [N, D]

    @property
    def dimension(self) -> int:
        """D."""
        return self.rows.shape[1]

    @cached_property
    def independent(self) -> Tensor:
        """E‖x − n‖ of every row for independent noise, float64 [N]."""
        return self.expected(1)

    def expected(self, k: float, rule: Rule = "l2") -> Tensor:
        """E‖x − n‖ of every row for nearest noise (k = 1: independent), float64 [N]."""
        lengths = self.chosen_against.norm(dim=1)
        along = (self.rows * self.chosen_against).sum(1) / lengths.clamp(min=1e-12)
        energy = self.rows.square().sum(1)
        moments = winner_moments(k, rule, lengths.numpy(), self.dimension)
        return torch.from_numpy(expected_distance(moments, along.numpy(), energy.numpy(), self.dimension))


def change(images: Images, noise: Tensor) -> tuple[float, float]:
    """Per cent by which ‖x − n‖ differs from independent noise on average, and its standard error.

    noise: float64 [N, D].
    """
    plain = images.independent
    excess = (images.rows - noise).norm(dim=1) - plain
    scale = 100 / float(plain.mean())
    # One row has no spread of its own: a distance in many dimensions varies by 1/√2 about.
    spread = float(excess.std()) if len(excess) > 1 else math.sqrt(0.5)
    return scale * float(excess.mean()), scale * spread / math.sqrt(len(excess))


def predicted_change(images: Images, k: float, rule: Rule) -> float:
    """What `change` tends to for `Nearest(k, rule)`: the winner's law, averaged over these images."""
    plain = float(images.independent.mean())
    return 100 * (float(images.expected(k, rule).mean()) / plain - 1)


def equivalent_k(images: Images, measured: float) -> float:
    """The k whose nearest noise is as near as the measured change; 1 for none, infinity beyond 2²⁰."""
    if measured >= 0:
        return 1.0
    if images.dimension > LONG:  # where all images have nearly the same answer, and the law takes a second
        middle = int(images.chosen_against.norm(dim=1).argsort()[len(images.rows) // 2])
        images = Images(images.rows[middle, None], images.chosen_against[middle, None])

    def excess(log_k: float) -> float:
        return predicted_change(images, math.exp(log_k), "l2") - measured

    if excess(math.log(LARGEST_K)) > 0:
        return math.inf
    return math.exp(brentq(excess, 0.0, math.log(LARGEST_K), xtol=1e-3))


def agreement_in_half(clean: Tensor, k: int, dtype: torch.dtype, generator: torch.Generator) -> float | None:
    """Share of rows for which Algorithm 1 keeps the same of k noises with distances in `dtype` as in float64.

    clean: [N, D]. None where k candidates of one row are more than 16 million numbers.
    """
    rows = min(TRIED_ROWS, len(clean), MOST_CANDIDATES // (k * clean.shape[1]))
    if rows < 1:
        return None
    same = 0
    for row in clean[:rows].float():
        candidates = torch.randn(k, len(row), generator=generator)
        exact = torch.linalg.vector_norm((row - candidates).double(), dim=1).argmin()
        halved = torch.linalg.vector_norm(row.to(dtype) - candidates.to(dtype), dim=1).argmin()
        same += int(exact == halved)
    return same / rows


def images_of(clean: Tensor, pairing: object) -> Images:
    """The rows float64 [N, D], and the same less the centre that a nearest pairing chooses against."""
    rows = clean.flatten(1).double()
    centre = pairing.centre if isinstance(pairing, Nearest) else None
    if centre is None:
        return Images(rows, rows)
    if isinstance(centre, Tensor):
        shift = centre.detach().cpu().double().expand(clean.shape[1:]).reshape(-1)
    else:
        shift = rows.mean(0)
    return Images(rows, rows - shift)


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """The mean of [N] and its standard error."""
    error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else float(np.nan)
    return float(values.mean()), error
