"""Diffusion and flow matching against diffusers' own schedulers."""

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler
from diffusers.training_utils import compute_density_for_timestep_sampling
from torch import Tensor

from immiscible_diffusion.objectives import Diffusion, FlowMatching, Objective
from immiscible_diffusion.sampling import sample, sampling_steps

SHAPE = (4, 3, 8, 8)


def wavy(noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
    """A fixed nonlinear "network" that looks at the time and the condition."""
    shift = 0 if condition is None else condition.float().view(-1, 1, 1, 1) / 10
    return torch.sin(noisy * 1.3 + time.float().view(-1, 1, 1, 1) / 300) + 0.2 * noisy + shift


def gaussian(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 5, 50])
def test_ddim_agrees_with_diffusers(prediction: str, schedule: str, steps: int) -> None:
    objective = Diffusion(prediction=prediction, schedule=schedule)
    oracle = DDIMScheduler(
        beta_schedule={"linear": "linear", "cosine": "squaredcos_cap_v2"}[schedule],
        prediction_type={"epsilon": "epsilon", "v": "v_prediction"}[prediction],
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
    )
    oracle.set_timesteps(steps)
    expected = noise = gaussian(0)
    walked = list(sampling_steps(objective, wavy, noise, steps))
    for time, ours in zip(oracle.timesteps, walked, strict=True):
        step = oracle.step(wavy(expected, time.expand(len(noise))), time, expected, eta=0.0)
        scale = expected.abs().max().clamp(min=1)
        assert ours.time == time
        torch.testing.assert_close(ours.noisy / scale, step.prev_sample / scale, atol=1e-5, rtol=1e-5)
        clean_scale = step.pred_original_sample.abs().max().clamp(min=1)
        torch.testing.assert_close(
            ours.clean / clean_scale, step.pred_original_sample / clean_scale, atol=1e-5, rtol=1e-5
        )
        expected = step.prev_sample


def test_clipped_ddim_agrees_with_diffusers() -> None:
    oracle = DDIMScheduler(clip_sample=True, clip_sample_range=2.0, timestep_spacing="trailing")
    oracle.set_timesteps(20)
    expected = noise = gaussian(1)
    for time in oracle.timesteps:
        expected = oracle.step(wavy(expected, time.expand(len(noise))), time, expected, eta=0.0).prev_sample
    torch.testing.assert_close(sample(Diffusion(), wavy, noise, 20, clip=2.0), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("steps", [1, 5, 50])
def test_euler_agrees_with_diffusers(steps: int) -> None:
    oracle = FlowMatchEulerDiscreteScheduler()
    oracle.set_timesteps(sigmas=[1 - index / steps for index in range(steps)])
    expected = noise = gaussian(2)
    for time in oracle.timesteps:
        expected = oracle.step(wavy(expected, time.expand(len(noise))), time, expected).prev_sample
    torch.testing.assert_close(sample(FlowMatching(), wavy, noise, steps), expected, atol=1e-5, rtol=1e-5)


def test_heun_agrees_with_diffusers() -> None:
    oracle = FlowMatchHeunDiscreteScheduler()
    oracle.set_timesteps(10)
    sigmas = torch.cat([oracle.sigmas[0:1], oracle.sigmas[1:-1:2], oracle.sigmas[-1:]])
    expected = noise = gaussian(3)
    for time in oracle.timesteps:
        expected = oracle.step(wavy(expected, time.expand(len(noise))), time, expected).prev_sample
    objective = FlowMatching()
    from_diffusers = torch.cat([sigmas[sigmas > 0].unique().flip(0), torch.zeros(1)])

    class Rescheduled(FlowMatching):
        def times(self, steps: int) -> Tensor:
            return from_diffusers

    ours = sample(Rescheduled(), wavy, noise, len(from_diffusers) - 1, sampler="heun")
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(
        sample(objective, wavy, noise, 10), sample(objective, wavy, noise, 10, sampler="heun")
    )


@pytest.mark.parametrize(
    "objective", [Diffusion(), Diffusion(prediction="v", schedule="cosine"), FlowMatching()]
)
def test_heun_is_of_second_order(objective: Objective) -> None:
    """Halving the step must cut Heun's error by about four and the first order's by about two."""

    def network(noisy: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        return 0.5 * torch.tanh(noisy)

    noise = gaussian(4).double()
    first, second = [], []
    exact = sample(objective, network, noise, 500, sampler="heun")
    for steps in (20, 40):
        first.append(float((sample(objective, network, noise, steps) - exact).norm()))
        second.append(float((sample(objective, network, noise, steps, sampler="heun") - exact).norm()))
    assert second[0] < first[0] and second[1] < first[1]
    assert second[0] / second[1] > 1.4 * first[0] / first[1]


@pytest.mark.parametrize("objective", [Diffusion(), Diffusion(prediction="v"), FlowMatching()])
def test_a_perfect_network_recovers_clean_and_noise(objective: Objective) -> None:
    clean, noise = gaussian(5), gaussian(6)
    time = objective.draw_times(len(clean), torch.Generator().manual_seed(0))
    noisy = objective.diffuse(clean, noise, time)

    def perfect(noisy: Tensor, network_time: Tensor, condition: Tensor | None) -> Tensor:
        if isinstance(objective, FlowMatching):
            return noise - clean
        alpha = objective.scheduler().alphas_cumprod[time].view(-1, 1, 1, 1)
        return (
            noise if objective.prediction == "epsilon" else alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
        )

    estimate = objective.estimate(perfect, noisy, time)
    torch.testing.assert_close(estimate.clean, clean, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(estimate.noise, noise, atol=1e-4, rtol=1e-4)
    assert float(objective.loss(perfect, clean, noise, time).max()) < 1e-10


def test_noise_is_the_target_that_was_mixed_in() -> None:
    """The fault of a widely used trainer: pairing inside the mixing, unpaired noise as the target."""
    clean, noise = gaussian(7), gaussian(8)
    seen = {}

    def spy(noisy: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        seen["noisy"] = noisy
        return torch.zeros_like(noisy)

    time = torch.full((len(clean),), 500)
    loss = Diffusion().loss(spy, clean, noise, time)
    alpha = Diffusion().scheduler().alphas_cumprod[500]
    mixed_in = (seen["noisy"] - alpha.sqrt() * clean) / (1 - alpha).sqrt()
    torch.testing.assert_close(loss, mixed_in.square().flatten(1).mean(dim=1), atol=1e-5, rtol=1e-5)


def test_conditions_reach_the_network_row_by_row() -> None:
    noise, condition = gaussian(9), torch.tensor([0, 3, 5, 9])
    together = sample(FlowMatching(), wavy, noise, 5, condition=condition, batch_size=3)
    for row in range(4):
        alone = sample(FlowMatching(), wavy, noise[row : row + 1], 5, condition=condition[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone)


def test_diffuse_ends_at_clean_and_noise() -> None:
    clean, noise = gaussian(10), gaussian(11)
    for objective in (Diffusion(), FlowMatching()):
        torch.testing.assert_close(objective.diffuse(clean, noise, objective.times(7)[-1]), clean)
    torch.testing.assert_close(FlowMatching().diffuse(clean, noise, torch.tensor(1.0)), noise)


@pytest.mark.parametrize("objective", [Diffusion(), FlowMatching()])
def test_times_are_drawn_from_the_generator(objective: Objective) -> None:
    draws = [objective.draw_times(1000, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    span = 1000 if isinstance(objective, Diffusion) else 1
    assert float(draws[0].min()) >= 0 and float(draws[0].max()) < span
    assert abs(float(draws[0].float().mean()) / span - 0.5) < 0.05


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Diffusion(prediction="epsilom"), "did you mean 'epsilon'"),
        (lambda: Diffusion(schedule="cosin"), "did you mean 'cosine'"),
        (lambda: Diffusion(training_steps=1), "training_steps must be 2 or more, got 1"),
        (lambda: Diffusion().times(1001), "steps must be from 1 to 1000 for this schedule, got 1001"),
        (lambda: FlowMatching().times(0), "steps must be 1 or more, got 0"),
        (
            lambda: sampling_steps(FlowMatching(), wavy, gaussian(0), 5, sampler="ddim"),
            "valid: dopri5, euler",
        ),
        (lambda: sampling_steps(Diffusion(), wavy, gaussian(0), 5, sampler="hein"), "did you mean 'heun'"),
    ],
)
def test_errors_name_the_value_and_the_remedy(make, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        make()


@pytest.mark.parametrize(("mean", "std"), [(None, 1.0), (0.0, 1.0), (1.0, 0.5), (-1.2, 1.2)])
def test_flow_matching_draws_its_times_as_diffusers_does(mean: float | None, std: float) -> None:
    drawn = FlowMatching(mean, std).draw_times(2000, torch.Generator().manual_seed(5))
    oracle = compute_density_for_timestep_sampling(
        "none" if mean is None else "logit_normal",
        2000,
        mean,
        std,
        generator=torch.Generator().manual_seed(5),
    )
    torch.testing.assert_close(drawn, oracle)
    assert drawn.min() >= 0 and drawn.max() <= 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"logit_mean": float("nan")}, "logit_mean must be a finite number, got nan"),
        ({"logit_mean": 0.0, "logit_std": 0.0}, r"logit_std must be greater than 0 and finite, got 0\.0"),
        ({"logit_std": float("inf")}, "logit_std must be greater than 0 and finite, got inf"),
    ],
)
def test_times_that_cannot_be_drawn_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FlowMatching(**settings)
