"""Consistency training against its paper's formulas, diffusers, and data whose consistency map is known."""

import dataclasses
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import CMStochasticIterativeScheduler
from torch import Tensor, nn

from immiscible_diffusion.data.images import load_images
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.objectives import Consistency, Objective, PathObjective
from immiscible_diffusion.objectives.preconditioning import NETWORK_TIME
from immiscible_diffusion.runs.checkpoints import newest_checkpoint
from immiscible_diffusion.runs.images import advance, open_run
from immiscible_diffusion.sampling import sample, sampling_steps
from immiscible_diffusion.training import make_batch

SHAPE = (4, 3, 8, 8)


def gaussian(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wavy(noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
    shift = 0 if condition is None else condition.float().view(-1, 1, 1, 1) / 10
    return torch.sin(noisy * 1.3 + time.float().view(-1, 1, 1, 1) / 300) + 0.2 * noisy + shift


def network_of(function, sigma_data: float = 0.5, sigma_min: float = 0.002):
    """The network with which a consistency model is `function`(noisy, σ) in double precision."""

    def network(scaled: Tensor, told: Tensor, condition: Tensor | None = None) -> Tensor:
        sigma = (told.double() / NETWORK_TIME).exp().view(-1, 1, 1, 1)
        noisy = scaled.double() * (sigma**2 + sigma_data**2).sqrt()
        above = sigma - sigma_min
        skip = sigma_data**2 / (above**2 + sigma_data**2)
        out = (sigma_data * above / (sigma**2 + sigma_data**2).sqrt()).clamp(min=1e-9)
        return (function(noisy, sigma) - skip * noisy) / out

    return network


@pytest.mark.parametrize("sigma_data", [0.5, 1.3])
def test_the_least_noisy_level_is_left_exactly_alone(sigma_data: float) -> None:
    noisy = gaussian(0)
    for level in (Consistency().times(3)[-2] * 0 + 0.002, torch.full((4,), 0.002)):
        estimate = Consistency(sigma_data=sigma_data).estimate(wavy, noisy, level)
        assert torch.equal(estimate.clean, noisy)
    pair = Consistency().draw_times(4000, generator())
    assert float(pair[:, 1].min()) == torch.tensor(0.002)  # the grid reaches that very number
    assert not torch.equal(Consistency().estimate(wavy, noisy, torch.tensor(0.0021)).clean, noisy)


@pytest.mark.parametrize(
    ("first", "last", "steps"), [(10, 1280, 400), (10, 1280, 1000), (3, 50, 90), (7, 7, 5)]
)
def test_the_curriculum_is_the_papers(first: int, last: int, steps: int) -> None:
    """iCT, Table 1: N(k) = min(s₀ 2^⌊k/K'⌋, s₁) + 1 points, K' = ⌊K / (log₂⌊s₁/s₀⌋ + 1)⌋."""
    objective = Consistency(first_levels=first, last_levels=last)
    part = steps / (math.floor(math.log2(last // first)) + 1)
    assert part == int(part)  # else the paper's parts and ours differ by the rounding of K'
    for step in range(steps):
        points = min(first * 2 ** math.floor(step / part), last) + 1
        assert objective.levels(step / steps) + 1 == points
    assert objective.levels(0.0) == first and objective.levels(1 - 1e-9) <= last


def test_levels_are_drawn_with_the_papers_chances() -> None:
    """iCT, Table 1: p(σᵢ) ∝ erf((ln σᵢ₊₁ − P_mean) / √2 P_std) − erf((ln σᵢ − P_mean) / √2 P_std)."""
    ends = (0.002 ** (1 / 7), 80 ** (1 / 7))
    grid = [(ends[0] + index / 10 * (ends[1] - ends[0])) ** 7 for index in range(11)]
    below = [math.erf((math.log(sigma) + 1.1) / (math.sqrt(2) * 2.0)) for sigma in grid]
    chances = torch.tensor([(b - a) / (below[-1] - below[0]) for a, b in pairwise(below)])
    count = 200_000
    pairs = Consistency().draw_times(count, generator(), 0.05)
    assert pairs.shape == (count, 2) and pairs.dtype == torch.float32
    for column, levels in ((0, grid[1:]), (1, grid[:-1])):
        index = (pairs[:, column, None] / torch.tensor(levels) - 1).abs().argmin(dim=1)
        torch.testing.assert_close(pairs[:, column], torch.tensor(levels)[index], rtol=1e-5, atol=0)
        seen = torch.bincount(index, minlength=10) / count
        assert ((seen - chances).abs() < 5 * (chances * (1 - chances) / count).sqrt() + 1e-6).all()
    assert torch.equal(pairs, Consistency().draw_times(count, generator(), 0.05))
    assert len(Consistency().draw_times(50_000, generator(), 0.99)[:, 0].unique()) > 640


def test_the_loss_is_the_papers() -> None:
    """Pseudo-Huber √(‖·‖² + c²) − c, c = 0.00054 √D, over σᵢ₊₁ − σᵢ, one noise at both levels."""
    clean, noise = gaussian(1), gaussian(2)
    levels = torch.tensor([[0.5, 0.3], [2.0, 1.0], [80.0, 50.0], [0.003, 0.002]])
    objective, labels = Consistency(), torch.arange(4)
    ours = objective.loss(wavy, clean, noise, levels, labels)
    offset = 0.00054 * math.sqrt(3 * 8 * 8)
    for row, (upper, lower) in enumerate(levels.tolist()):
        one = slice(row, row + 1)
        outputs = [
            objective.estimate(wavy, clean[one] + sigma * noise[one], torch.tensor(sigma), labels[one]).clean
            for sigma in (upper, lower)
        ]
        distance = math.sqrt(float((outputs[0] - outputs[1]).double().square().sum()) + offset**2) - offset
        assert float(ours[row]) == pytest.approx(distance / (upper - lower), rel=1e-3)


def test_the_teacher_gets_no_gradient_and_drops_the_same_units() -> None:
    seen: list[tuple[bool, Tensor]] = []

    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
            kept = nn.functional.dropout(torch.ones_like(noisy), 0.5)
            seen.append((torch.is_grad_enabled(), kept))
            return self.scale * kept * noisy

    network, pairs = Dropping(), Consistency().draw_times(4, generator())
    torch.manual_seed(0)
    Consistency().loss(network, gaussian(1), gaussian(2), pairs).mean().backward()
    assert [gradient for gradient, _ in seen] == [True, False]
    assert torch.equal(seen[0][1], seen[1][1]) and float(network.scale.grad.abs()) > 0
    Consistency().loss(network, gaussian(1), gaussian(2), pairs)
    assert not torch.equal(seen[0][1], seen[2][1])  # the next step draws on


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_gradients_survive_mixed_precision(kind: torch.dtype) -> None:
    """Autocast keeps cast weights: cast first without gradient, they would keep the student from learning."""
    network = nn.Conv2d(3, 3, 3, padding=1)
    with torch.autocast("cpu", dtype=kind):
        losses = Consistency().loss(
            lambda noisy, time, condition: network(noisy),
            gaussian(1),
            gaussian(2),
            torch.tensor([[2.0, 1.0]] * 4),
        )
    losses.mean().backward()
    assert losses.dtype == torch.float32 and float(network.weight.grad.norm()) > 0


def test_one_images_own_consistency_map_has_no_loss_and_others_have() -> None:
    """Where all data is one image μ, x − μ ∝ σ on its paths, so that f(x, σ) = μ + (σ_min / σ)(x − μ)."""
    image = gaussian(3, (1, 3, 8, 8)).expand(256, -1, -1, -1)
    noise, pairs = gaussian(4, image.shape), Consistency().draw_times(256, generator(), 0.99)

    def loss(power: float) -> float:
        true = network_of(lambda noisy, sigma: image + (0.002 / sigma) ** power * (noisy - image))
        return float(Consistency().loss(true, image, noise, pairs).mean())

    assert loss(1.0) < 0.01
    assert loss(0.9) > 10 * loss(1.0) and loss(1.1) > 10 * loss(1.0)


def test_gaussian_datas_consistency_map_is_where_training_stops() -> None:
    """For N(0, s²) data f(x, σ) = x √((s² + σ_min²) / (s² + σ²)). On a fine grid the gradient vanishes there.

    The loss itself does not: one image's noisy versions are on one path only on average. A large `huber`
    makes the distance quadratic, where that average is exact.
    """
    std, count = 0.5, 60_000
    clean, noise = std * gaussian(5, (count, 1, 2, 2)), gaussian(6, (count, 1, 2, 2))
    objective = Consistency(huber=1000.0, first_levels=1280)
    pairs = objective.draw_times(count, generator())

    def gradient(power: float) -> float:
        shrink = torch.tensor(power, dtype=torch.float64, requires_grad=True)
        network = network_of(
            lambda noisy, sigma: noisy * ((std**2 + 0.002**2) / (std**2 + sigma**2)) ** shrink
        )
        objective.loss(network, clean, noise, pairs).mean().backward()
        return float(shrink.grad)

    low, true, high = gradient(0.4), gradient(0.5), gradient(0.6)
    assert abs(true) < 0.1 * min(abs(low), abs(high)) and low * high < 0


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_the_exact_map_samples_gaussian_data(steps: int) -> None:
    std = 0.7
    network = network_of(lambda noisy, sigma: noisy * ((std**2 + 0.002**2) / (std**2 + sigma**2)) ** 0.5)
    images = sample(
        Consistency(), network, gaussian(7, (64, 1, 16, 16)), steps, generator=generator(), batch_size=64
    )
    assert float(images.std()) == pytest.approx(std, rel=0.02) and abs(float(images.mean())) < 0.02


# diffusers takes sigma_min's own noise off each level, √(σ² − σ_min²): seen at the low levels of many steps.
@pytest.mark.parametrize(("steps", "tolerance"), [(1, 1e-5), (2, 1e-5), (5, 2e-4)])
def test_sampling_agrees_with_diffusers(steps: int, tolerance: float) -> None:
    oracle = CMStochasticIterativeScheduler(num_train_timesteps=40, clip_denoised=False)
    oracle.set_timesteps(steps)

    class Rescheduled(Consistency):
        def times(self, steps: int) -> Tensor:
            return torch.cat([oracle.sigmas[:-1], torch.zeros(1)])

    noise = gaussian(8)
    expected, draws = noise * 80, generator(1)
    for time in oracle.timesteps:
        output = wavy(oracle.scale_model_input(expected, time), time.expand(len(noise)))
        expected = oracle.step(output, time, expected, generator=draws).prev_sample
    ours = sample(Rescheduled(), wavy, noise, steps, generator=generator(1))
    torch.testing.assert_close(ours, expected, atol=tolerance, rtol=1e-5)


def test_fresh_noise_is_drawn_between_steps_only() -> None:
    def images(steps: int, seed: int) -> Tensor:
        return sample(Consistency(), wavy, gaussian(9), steps, generator=generator(seed), batch_size=3)

    assert torch.equal(images(2, 0), images(2, 0)) and not torch.equal(images(2, 0), images(2, 1))
    assert torch.equal(images(1, 0), images(1, 1))
    used = generator()
    sample(Consistency(), wavy, gaussian(9), 1, generator=used)
    assert torch.equal(used.get_state(), generator().get_state())
    each = [generator(seed) for seed in range(4)]
    alone = sample(Consistency(), wavy, gaussian(9)[2:3], 2, generator=generator(2))
    together = sample(Consistency(), wavy, gaussian(9), 2, generator=each, batch_size=3)
    torch.testing.assert_close(together[2:3], alone)


def small(**settings: object):
    return dataclasses.replace(
        named_experiment("digits-consistency"), **{"steps": 16, "batch_size": 32, **settings}
    )


def final(folder: Path) -> dict[str, Tensor]:
    checkpoint = newest_checkpoint(folder / "checkpoints")
    assert checkpoint is not None and checkpoint.step == 16
    return {
        f"{file}.{key}": value for file, held in checkpoint.tensors.items() for key, value in held.items()
    }


# Within a part of the curriculum, and at the ends of parts.
@pytest.mark.parametrize(("stop", "pairing"), [(1, "nearest:4"), (7, "assigned"), (8, "independent")])
def test_a_run_resumes_bit_for_bit_across_the_curriculum(tmp_path: Path, stop: int, pairing: str) -> None:
    experiment = small(pairing=pairing, class_conditional=True)
    data = load_images("digits")
    grids = [make_batch(experiment, data, step).time for step in (0, 15)]
    assert float(grids[0].diff().abs().median()) > 10 * float(grids[1].diff().abs().median())
    for _ in advance(open_run(experiment, tmp_path / "whole", log_with="none"), sheet_every=0):
        pass
    steps = advance(open_run(experiment, tmp_path / "halved", log_with="none"), sheet_every=0)
    for done in steps:
        if done.step == stop:
            break
    steps.close()
    for _ in advance(open_run(experiment, tmp_path / "halved", resume=True, log_with="none"), sheet_every=0):
        pass
    whole, halved = final(tmp_path / "whole"), final(tmp_path / "halved")
    assert whole.keys() == halved.keys() and all(torch.equal(whole[key], halved[key]) for key in whole)


def test_a_curriculum_cannot_be_stretched_afterwards(tmp_path: Path) -> None:
    for _ in advance(open_run(small(), tmp_path, log_with="none"), sheet_every=0):
        pass
    with pytest.raises(ValueError, match=r"steps cannot change from 16 to 20 in run .*--steps 16.*--out"):
        open_run(small(steps=20), tmp_path, resume=True, log_with="none")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Consistency(sigma_data=-1.0), r"sigma_data must be greater than 0, got -1\.0"),
        (lambda: Consistency(huber=0.0), r"huber must be greater than 0, got 0\.0; 0\.00054"),
        (lambda: Consistency(first_levels=20, last_levels=10), "from 1 to last_levels, got 20 and 10"),
        (lambda: Consistency().times(0), "steps must be 1 or more, got 0"),
        (lambda: sampling_steps(Consistency(), wavy, gaussian(0), 5, sampler="heun"), "valid: multistep"),
        (lambda: sampling_steps(Consistency(), wavy, gaussian(0), None), "must be given for the multistep"),
    ],
)
def test_errors_name_the_value_and_the_remedy(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_it_is_an_objective_without_a_path() -> None:
    assert isinstance(Consistency(), Objective) and not isinstance(Consistency(), PathObjective)
