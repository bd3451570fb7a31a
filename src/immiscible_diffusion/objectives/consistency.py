"""Consistency training: one evaluation takes any noisy image to the start of its path."""

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from immiscible_diffusion.objectives.objective import Estimate, Network, over
from immiscible_diffusion.objectives.preconditioning import (
    add_noise,
    check_levels,
    karras_sigmas,
    network_input,
    network_time,
)


@dataclass(frozen=True)
class Consistency:
    """Consistency training as in iCT (Song & Dhariwal 2023, arXiv 2310.14189, Table 1).

    sigma_data: std of the images at training scale. sigma_min, sigma_max, rho: the noise levels' ends and
    spacing. log_mean, log_std: which levels are trained most, the paper's P_mean and P_std.
    huber: c of the pseudo-Huber loss is huber · √D. first_levels, last_levels: the grid has so many intervals
    in the first part of training, twice as many in each next part, up to the last.
    A training time is a pair of neighbouring levels, [B, 2], the noisier first; elsewhere times are levels σ.
    Sampling starts from sigma_max · N(0, I). Raises ValueError for a value out of range.
    """

    evaluations: ClassVar[tuple[int, ...]] = (1, 2, 4)
    judged_at: ClassVar[int] = 1  # as the paper does (Appendix A.1)
    depends_on_length: ClassVar[bool] = True

    sigma_data: float = 0.5
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    log_mean: float = -1.1
    log_std: float = 2.0
    huber: float = 0.00054
    first_levels: int = 10
    last_levels: int = 1280

    def __post_init__(self) -> None:
        check_levels(self.sigma_data, self.sigma_min, self.sigma_max, self.rho, self.log_mean, self.log_std)
        if not self.huber > 0:
            raise ValueError(f"huber must be greater than 0, got {self.huber}; 0.00054 is usual")
        if not 1 <= self.first_levels <= self.last_levels:
            raise ValueError(
                f"first_levels must be from 1 to last_levels, got {self.first_levels} and {self.last_levels}"
            )

    @property
    def samplers(self) -> tuple[str, ...]:
        return ("multistep",)

    def levels(self, progress: float) -> int:
        """Intervals of the grid after the share `progress` of training: N − 1 of iCT (Table 1)."""
        parts = int(math.log2(self.last_levels // self.first_levels)) + 1
        return min(self.first_levels << int(progress * parts), self.last_levels)

    def draw_times(self, count: int, generator: torch.Generator, progress: float = 0.0) -> Tensor:
        """Draw neighbouring levels [count, 2] of the grid at `progress`, log-normally (iCT, Table 1)."""
        sigmas, reached = _grid(self, self.levels(progress))
        uniform = torch.rand(count, generator=generator, device=generator.device, dtype=torch.float64)
        upper = torch.searchsorted(reached.to(uniform.device), uniform, right=True) + 1
        sigmas = sigmas.to(uniform.device)
        return torch.stack([sigmas[upper], sigmas[upper - 1]], dim=1)

    def times(self, steps: int) -> Tensor:
        if steps < 1:
            raise ValueError(f"steps must be 1 or more, got {steps}")
        # Evenly spaced as in diffusers and Song et al.'s code; the level after the last step is clean.
        sigmas = karras_sigmas(steps + 1, self.sigma_max, self.sigma_min, self.rho)
        return torch.cat([sigmas[:-1], torch.zeros(1)])

    def start(self, noise: Tensor) -> Tensor:
        return self.sigma_max * noise

    def diffuse(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        return add_noise(clean, noise, time)

    def estimate(
        self, network: Network, noisy: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Estimate:
        """Apply the consistency function; at sigma_min it is the identity (Song et al. 2023, Appendix C)."""
        told = network_time(time, self.sigma_min, len(noisy), noisy.device)
        output = network(network_input(noisy, time, self.sigma_data), told, condition)
        above = time - self.sigma_min
        skip = over(1 / (1 + (above / self.sigma_data).square()), noisy)  # 1 exactly at sigma_min
        out = over(self.sigma_data * above / (time.square() + self.sigma_data**2).sqrt(), noisy)
        clean = skip * noisy + out * output
        return Estimate(clean, (noisy - clean) / over(time, noisy))

    def loss(
        self, network: Network, clean: Tensor, noise: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Tensor:
        """Pseudo-Huber distance between the two levels' images, over the levels' difference, [B], float32.

        time: [B, 2]. Both levels have the same noise: that is where pairing enters. No averaged teacher: the
        less noisy side is the same network without gradient.
        """
        upper, lower = time.unbind(dim=1)
        # Both sides drop the same units (iCT, §3.1).
        with _same_draws(clean.device):
            student = self.estimate(network, self.diffuse(clean, noise, upper), upper, condition).clean
        # After the student: autocast would give it the weights that were cast here, without their gradient.
        with torch.no_grad():
            teacher = self.estimate(network, self.diffuse(clean, noise, lower), lower, condition).clean
        offset = self.huber * math.sqrt(clean[0].numel())
        squared = (student.float() - teacher.float()).square().flatten(1).sum(dim=1)
        # √(s + c²) − c, written so that small distances do not vanish beside c.
        distance = squared / ((squared + offset**2).sqrt() + offset)
        return distance / (upper - lower).to(distance)


def _same_draws(device: torch.device) -> AbstractContextManager[Any]:
    """Put the default generators back as they were, so that what comes next draws the same again."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


@lru_cache
def _grid(objective: Consistency, intervals: int) -> tuple[Tensor, Tensor]:
    """Levels [intervals + 1] from sigma_min up, and the chance of each interval or one below, float64."""
    least, most = objective.sigma_min, objective.sigma_max
    sigmas = karras_sigmas(intervals + 1, most, least, objective.rho).flip(0)
    below = torch.erf((sigmas.double().log() - objective.log_mean) / (math.sqrt(2) * objective.log_std))
    reached = (below[1:] - below[0]) / (below[-1] - below[0])
    return sigmas, reached
