"""Noise that is added, noisy = clean + σ noise, and the scaling around the network that goes with it."""

import math

import torch
from torch import Tensor

from immiscible_diffusion.objectives.objective import over

# ¼ ln σ (EDM, Table 1) × 1000, as in diffusers' consistency models: of the size that diffusion's times have.
NETWORK_TIME = 250.0


def karras_sigmas(count: int, sigma_max: float, sigma_min: float, rho: float) -> Tensor:
    """Noise levels [count] from `sigma_max` down to `sigma_min`, evenly spaced in σ^(1/ρ), float32.

    Source: EDM (Karras et al. 2022), Eq. 5. One level alone is `sigma_max`.
    """
    ends = [sigma ** (1 / rho) for sigma in (sigma_max, sigma_min)]
    sigmas = torch.linspace(ends[0], ends[1], count, dtype=torch.float64) ** rho
    # Exact ends: a consistency function must leave sigma_min alone, not almost alone.
    sigmas[-1], sigmas[0] = sigma_min, sigma_max
    return sigmas.float()


def check_levels(
    sigma_data: float, sigma_min: float, sigma_max: float, rho: float, log_mean: float, log_std: float
) -> None:
    """Raise ValueError for noise levels that make no grid or cannot be drawn, naming the setting."""
    if not math.isfinite(log_mean):
        raise ValueError(f"log_mean must be a finite number, got {log_mean}; -1.2 is usual for EDM")
    for name, value in (("sigma_data", sigma_data), ("rho", rho), ("log_std", log_std)):
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} must be greater than 0, got {value}")
    if not 0 < sigma_min < sigma_max < math.inf:
        raise ValueError(
            f"sigma_min must be greater than 0 and less than sigma_max, got {sigma_min} and {sigma_max}; "
            "0.002 and 80 are usual"
        )


def network_input(noisy: Tensor, sigma: Tensor, sigma_data: float) -> Tensor:
    """Scale `noisy` [B, ...] at `sigma` to unit variance (EDM, c_in)."""
    return noisy / over((sigma.square() + sigma_data**2).sqrt(), noisy)


def network_time(sigma: Tensor, sigma_min: float, rows: int, device: torch.device) -> Tensor:
    """What the network is told of `sigma` (scalar or [B]), [rows]; below `sigma_min` it is told that one."""
    return (sigma.to(device).clamp(min=sigma_min).log() * NETWORK_TIME).expand(rows)


def add_noise(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """Mix clean + σ noise."""
    return (clean + over(sigma, clean) * noise).to(clean.dtype)
