"""EDM against its paper's Algorithm 1, against diffusers, and on data whose denoiser is known."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import EDMEulerScheduler, HeunDiscreteScheduler
from torch import Tensor

from immiscible_diffusion.objectives import EDM, Objective, PathObjective
from immiscible_diffusion.objectives.preconditioning import NETWORK_TIME, karras_sigmas
from immiscible_diffusion.sampling import sample, sampling_steps

SHAPE = (4, 3, 8, 8)


def gaussian(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def wavy(noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
    """A fixed nonlinear "network" that looks at the time."""
    return torch.sin(noisy * 1.3 + time.to(noisy.dtype).view(-1, 1, 1, 1) / 300) + 0.2 * noisy


def denoised(noisy: Tensor, sigma: float, data: float = 0.5) -> Tensor:
    """D(x; σ) from the paper's Table 1, written literally."""
    skip = data**2 / (sigma**2 + data**2)
    out = sigma * data / math.sqrt(data**2 + sigma**2)
    told = torch.full((len(noisy),), NETWORK_TIME * math.log(sigma), dtype=noisy.dtype)
    return skip * noisy + out * wavy(noisy / math.sqrt(data**2 + sigma**2), told)


def algorithm_1(noise: Tensor, steps: int, second_order: bool) -> Tensor:
    """The paper's Algorithm 1 on its grid (Eq. 5), written literally."""
    high, low = 80 ** (1 / 7), 0.002 ** (1 / 7)
    levels = [(high + index / max(1, steps - 1) * (low - high)) ** 7 for index in range(steps)] + [0.0]
    image = levels[0] * noise
    for here, there in pairwise(levels):
        slope = (image - denoised(image, here)) / here
        arrived = image + (there - here) * slope
        if second_order and there != 0:
            ahead = (arrived - denoised(arrived, there)) / there
            arrived = image + (there - here) * (slope + ahead) / 2
        image = arrived
    return image


@pytest.mark.parametrize("sampler", ["euler", "heun"])
@pytest.mark.parametrize("steps", [1, 2, 18])
def test_sampling_is_algorithm_1(sampler: str, steps: int) -> None:
    noise = gaussian(0)
    expected = algorithm_1(noise, steps, sampler == "heun")
    ours = sample(EDM(), wavy, noise, steps, sampler=sampler)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_euler_agrees_with_diffusers() -> None:
    oracle = EDMEulerScheduler(sigma_data=0.5, final_sigmas_type="zero")
    oracle.set_timesteps(12)
    expected = gaussian(1) * 80
    for time, sigma in zip(oracle.timesteps, oracle.sigmas, strict=False):
        told = torch.full((len(expected),), float(sigma.double().log()) * NETWORK_TIME, dtype=torch.float64)
        output = wavy(oracle.scale_model_input(expected, time), told)
        expected = oracle.step(output, time, expected).prev_sample
    torch.testing.assert_close(sample(EDM(), wavy, gaussian(1), 12), expected, atol=1e-5, rtol=1e-5)


def test_heun_agrees_with_diffusers() -> None:
    """diffusers' Heun takes noise estimates; on a Karras grid of the same ends it must walk alike."""
    oracle = HeunDiscreteScheduler(use_karras_sigmas=True)
    oracle.set_timesteps(10)
    sigmas = torch.cat([oracle.sigmas[0:1], oracle.sigmas[1:-1:2]]).double()[:10]
    objective = EDM(sigma_max=float(sigmas[0]), sigma_min=float(sigmas[-1]))
    expected = gaussian(2) * float(sigmas[0])
    for index, time in enumerate(oracle.timesteps):
        sigma = float(oracle.sigmas[index])
        output = (expected - denoised(expected, sigma)) / sigma
        expected = oracle.step(output, time, expected).prev_sample
    torch.testing.assert_close(
        sample(objective, wavy, gaussian(2), 10, sampler="heun"), expected, atol=1e-4, rtol=1e-4
    )


def test_the_loss_is_the_papers() -> None:
    """λ(σ) ‖D(clean + σ noise; σ) − clean‖², per pixel; λ = (σ² + σ_data²) / (σ σ_data)²."""
    clean, noise = gaussian(3).float(), gaussian(4).float()
    levels = torch.tensor([0.05, 0.5, 3.0, 40.0])
    ours = EDM().loss(wavy, clean, noise, levels)
    for row, sigma in enumerate(levels.tolist()):
        error = denoised((clean + sigma * noise)[row : row + 1].double(), sigma) - clean[row : row + 1]
        weight = (sigma**2 + 0.25) / (sigma * 0.5) ** 2
        assert float(ours[row]) == pytest.approx(float(weight * error.square().mean()), rel=1e-3)


def test_training_levels_are_log_normal() -> None:
    levels = EDM().draw_times(100_000, torch.Generator().manual_seed(0)).log()
    assert float(levels.mean()) == pytest.approx(-1.2, abs=0.02)
    assert float(levels.std()) == pytest.approx(1.2, abs=0.02)


def ideal(std: float, sigma_data: float = 0.5):
    """The network under which D is the best denoiser of N(0, std²) data: std² / (std² + σ²) · noisy."""

    def network(scaled: Tensor, told: Tensor, condition: Tensor | None = None) -> Tensor:
        sigma = (told.to(scaled.dtype) / NETWORK_TIME).exp().view(-1, 1, 1, 1)
        total = (sigma**2 + sigma_data**2).sqrt()
        noisy = scaled * total
        clean = std**2 / (std**2 + sigma**2) * noisy
        return (clean - (sigma_data / total) ** 2 * noisy) / (sigma * sigma_data / total)

    return network


@pytest.mark.parametrize("std", [0.3, 0.8])
def test_gaussian_data_is_sampled_with_its_variance(std: float) -> None:
    noise = gaussian(5, (4, 1, 32, 32))
    exact = noise * 80 * std / math.hypot(std, 80)  # the path's closed form
    errors = {
        (sampler, steps): float(
            (sample(EDM(), ideal(std), noise, steps, sampler=sampler) - exact).abs().max()
        )
        for sampler in ("euler", "heun")
        for steps in (36, 72)
    }
    assert errors["heun", 72] < 0.02 * std and errors["heun", 72] < errors["heun", 36] / 3.5
    assert errors["heun", 72] < errors["euler", 72] / 10


def test_estimates_at_clean_are_finite_and_exact() -> None:
    noisy = gaussian(6)
    estimate = EDM().estimate(wavy, noisy, torch.tensor(0.0))
    torch.testing.assert_close(estimate.clean, noisy, atol=0, rtol=0)
    assert estimate.noise.isfinite().all()


def test_slope_and_split_undo_each_other() -> None:
    objective, noisy, time = EDM(), gaussian(7), torch.tensor(1.7)
    assert isinstance(objective, Objective) and isinstance(objective, PathObjective)
    estimate = objective.estimate(wavy, noisy, time)
    again = objective.split(noisy, time, objective.slope(estimate, time))
    torch.testing.assert_close(again.clean, estimate.clean, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(again.noise, estimate.noise, atol=1e-6, rtol=1e-6)


def test_the_grid_has_exact_ends() -> None:
    sigmas = karras_sigmas(18, 80.0, 0.002, 7.0)
    assert float(sigmas[0]) == 80.0 and sigmas[-1] == torch.tensor(0.002) and (sigmas.diff() < 0).all()
    assert karras_sigmas(1, 80.0, 0.002, 7.0).tolist() == [80.0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EDM(sigma_data=0.0), r"sigma_data must be greater than 0, got 0\.0"),
        (lambda: EDM(sigma_min=3.0, sigma_max=2.0), "less than sigma_max, got 3.0 and 2.0; 0.002 and 80"),
        (lambda: EDM(rho=float("nan")), "rho must be greater than 0, got nan"),
        (lambda: EDM().times(0), "steps must be 1 or more, got 0"),
        (
            lambda: list(sampling_steps(EDM(), wavy, gaussian(0), 5, sampler="ddim")),
            "valid: dopri5, euler, heun",
        ),
    ],
)
def test_errors_name_the_value_and_the_remedy(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
