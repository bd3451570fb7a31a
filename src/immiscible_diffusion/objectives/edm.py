"""Diffusion as EDM has it: noisy = clean + σ noise, a preconditioned network, σ as the time."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from immiscible_diffusion.objectives.objective import Estimate, Network, over, squared_error
from immiscible_diffusion.objectives.preconditioning import (
    add_noise,
    check_levels,
    karras_sigmas,
    network_input,
    network_time,
)


@dataclass(frozen=True)
class EDM:
    """EDM (Karras et al. 2022, arXiv 2206.00364, Table 1), sampled deterministically (Algorithm 1).

    sigma_data: std of the images at training scale. sigma_min, sigma_max, rho: the sampler's noise levels.
    log_mean, log_std: ln σ in training is N(log_mean, log_std²), the paper's P_mean and P_std.
    Times are noise levels σ; sampling starts from sigma_max · N(0, I) and ends at 0.
    Raises ValueError for levels out of range.
    """

    evaluations: ClassVar[tuple[int, ...]] = (5, 20, 50)
    judged_at: ClassVar[int] = 20
    depends_on_length: ClassVar[bool] = False

    sigma_data: float = 0.5
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    log_mean: float = -1.2
    log_std: float = 1.2

    def __post_init__(self) -> None:
        check_levels(self.sigma_data, self.sigma_min, self.sigma_max, self.rho, self.log_mean, self.log_std)

    @property
    def samplers(self) -> tuple[str, ...]:
        return ("euler", "heun", "dopri5")

    def draw_times(self, count: int, generator: torch.Generator, progress: float = 0.0) -> Tensor:
        normal = torch.randn(count, generator=generator, device=generator.device)
        return (self.log_mean + self.log_std * normal).exp()

    def times(self, steps: int) -> Tensor:
        if steps < 1:
            raise ValueError(f"steps must be 1 or more, got {steps}")
        return torch.cat([karras_sigmas(steps, self.sigma_max, self.sigma_min, self.rho), torch.zeros(1)])

    def start(self, noise: Tensor) -> Tensor:
        return self.sigma_max * noise

    def diffuse(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        return add_noise(clean, noise, time)

    def estimate(
        self, network: Network, noisy: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Estimate:
        output = self._output(network, noisy, time, condition)
        sigma, total = over(time, noisy), over((time.square() + self.sigma_data**2).sqrt(), noisy)
        clean = (self.sigma_data / total) ** 2 * noisy + sigma * self.sigma_data / total * output
        # (noisy − clean) / σ with σ divided out by hand: no pole at 0, nothing lost to rounding near it.
        return Estimate(clean, sigma / total**2 * noisy - self.sigma_data / total * output)

    def slope(self, estimate: Estimate, time: Tensor) -> Tensor:
        return estimate.noise

    def split(self, noisy: Tensor, time: Tensor, slope: Tensor) -> Estimate:
        return Estimate(noisy - over(time, noisy) * slope, slope)

    def loss(
        self, network: Network, clean: Tensor, noise: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Tensor:
        """Squared error of the network's output: λ(σ)‖D − clean‖², λ = 1/c_out² (EDM, Eq. 8)."""
        sigma, total = over(time, clean), over((time.square() + self.sigma_data**2).sqrt(), clean)
        target = (sigma / self.sigma_data * clean - self.sigma_data * noise) / total
        return squared_error(self._output(network, self.diffuse(clean, noise, time), time, condition), target)

    def _output(self, network: Network, noisy: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        told = network_time(time, self.sigma_min, len(noisy), noisy.device)
        return network(network_input(noisy, time, self.sigma_data), told, condition)
