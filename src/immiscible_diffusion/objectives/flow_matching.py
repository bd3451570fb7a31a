"""Flow matching on straight paths: noisy = (1 − t) clean + t noise; the network learns noise − clean."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from immiscible_diffusion.objectives.objective import Estimate, Network, over, squared_error

# Networks embed times of the size that diffusion's have; t itself stays in [0, 1] everywhere else.
NETWORK_TIME = 1000.0


@dataclass(frozen=True)
class FlowMatching:
    """Flow matching with a linear path (Lipman et al. 2023; Liu et al. 2022).

    Time 1 is pure noise and 0 is clean, as in diffusers' `FlowMatchEulerDiscreteScheduler`.
    logit_mean, logit_std: training times t are drawn with logit t ~ N(logit_mean, logit_std²), as in Stable
        Diffusion 3 (Esser et al. 2024, §3.1); a mean above 0 trains more where noise is high. None: uniform.
    Raises ValueError for a mean that is not finite, or a std that is not greater than 0 and finite.
    """

    evaluations: ClassVar[tuple[int, ...]] = (5, 20, 50)
    judged_at: ClassVar[int] = 20
    depends_on_length: ClassVar[bool] = False

    logit_mean: float | None = None
    logit_std: float = 1.0

    def __post_init__(self) -> None:
        if self.logit_mean is not None and not math.isfinite(self.logit_mean):
            raise ValueError(
                f"logit_mean must be a finite number, got {self.logit_mean}; 0 is usual, 1 for paired noise"
            )
        if not 0 < self.logit_std < math.inf:
            raise ValueError(f"logit_std must be greater than 0 and finite, got {self.logit_std}; 1 is usual")

    @property
    def samplers(self) -> tuple[str, ...]:
        return ("euler", "heun", "dopri5")

    def draw_times(self, count: int, generator: torch.Generator, progress: float = 0.0) -> Tensor:
        if self.logit_mean is None:
            return torch.rand(count, generator=generator, device=generator.device)
        # As diffusers' compute_density_for_timestep_sampling, whose module takes seconds to import.
        normal = torch.randn(count, generator=generator, device=generator.device)
        return torch.sigmoid(self.logit_mean + self.logit_std * normal)

    def times(self, steps: int) -> Tensor:
        if steps < 1:
            raise ValueError(f"steps must be 1 or more, got {steps}")
        return torch.linspace(1.0, 0.0, steps + 1)

    def start(self, noise: Tensor) -> Tensor:
        return noise

    def diffuse(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        t = over(time, clean)
        return ((1 - t) * clean + t * noise).to(clean.dtype)

    def estimate(
        self, network: Network, noisy: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Estimate:
        velocity = network(noisy, time.to(noisy.device).expand(len(noisy)) * NETWORK_TIME, condition)
        return self.split(noisy, time, velocity)

    def slope(self, estimate: Estimate, time: Tensor) -> Tensor:
        return estimate.noise - estimate.clean

    def split(self, noisy: Tensor, time: Tensor, slope: Tensor) -> Estimate:
        t = over(time, noisy)
        return Estimate(noisy - t * slope, noisy + (1 - t) * slope)

    def loss(
        self, network: Network, clean: Tensor, noise: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Tensor:
        prediction = network(self.diffuse(clean, noise, time), time * NETWORK_TIME, condition)
        return squared_error(prediction, noise - clean)
