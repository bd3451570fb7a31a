"""dopri5 on paths that are known: the exact answer within its tolerance, at a cost that is counted."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from tests.forking import Command
from torch import Tensor, nn

from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.generation import counted_evaluations, generate
from immiscible_diffusion.networks import build_network
from immiscible_diffusion.objectives import EDM, Consistency, Diffusion, FlowMatching, Objective
from immiscible_diffusion.objectives.flow_matching import NETWORK_TIME
from immiscible_diffusion.objectives.preconditioning import NETWORK_TIME as LOG_SIGMA
from immiscible_diffusion.pipelines import build_pipeline
from immiscible_diffusion.runs.images import advance, open_run
from immiscible_diffusion.sampling import sample, sampling_steps

MEAN, STD = 0.3, 0.6


class GaussianFlow(nn.Module):
    """The exact velocity E[noise − clean | noisy] for N(MEAN, STD²) data; counts its own calls."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.calls = 0

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        self.calls += 1
        t = (time / NETWORK_TIME).to(noisy.dtype).view(-1, 1, 1, 1)
        spread = (1 - t) ** 2 * STD**2 + t**2
        centred = noisy - (1 - t) * MEAN
        return (t - (1 - t) * STD**2) / spread * centred - MEAN


class GaussianDenoiser(nn.Module):
    """What EDM's network must be for N(0, STD²) data."""

    def forward(self, scaled: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        sigma = (time / LOG_SIGMA).exp().to(scaled.dtype).view(-1, 1, 1, 1)
        total = (sigma**2 + 0.25).sqrt()
        clean = STD**2 / (STD**2 + sigma**2) * scaled * total
        return (clean - 0.25 / total * scaled) / (sigma * 0.5 / total)


def gaussian(seed: int, count: int = 8) -> Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, 8, 8, generator=drawn, dtype=torch.float64)


def test_a_known_flow_is_followed_to_its_end() -> None:
    noise = gaussian(0)
    exact = MEAN + STD * noise
    errors, calls = [], []
    for tolerance in (1e-2, 1e-4, 1e-6):
        network = GaussianFlow()
        with counted_evaluations(network) as counted:
            images = sample(FlowMatching(), network, noise, None, sampler="dopri5", tolerance=tolerance)
        assert counted.per_image(len(noise)) == network.calls
        errors.append(float((images - exact).abs().max()))
        calls.append(network.calls)
    assert errors[0] < 0.1 and errors[1] < 1e-2 and errors[2] < 1e-5
    assert calls[0] < calls[1] < calls[2] < 400
    network = GaussianFlow()
    sample(FlowMatching(), network, noise, None, sampler="dopri5")
    assert calls[1] < network.calls < calls[2]  # 1e-5 where none is given


def test_edm_is_followed_from_its_noisiest_level_to_clean() -> None:
    noise = gaussian(1)
    images = sample(EDM(), GaussianDenoiser(), noise, None, sampler="dopri5", tolerance=1e-6)
    # Below sigma_min the network is told sigma_min.
    torch.testing.assert_close(images, noise * 80 * STD / math.hypot(STD, 80), atol=1e-4, rtol=1e-3)


def test_it_agrees_with_many_steps_of_heun() -> None:
    def network(noisy: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        return torch.tanh(noisy) + 0.1 * condition.view(-1, 1, 1, 1)

    noise, labels = gaussian(2), torch.arange(8)
    many = sample(FlowMatching(), network, noise, 300, sampler="heun", condition=labels)
    options = {"sampler": "dopri5", "condition": labels, "tolerance": 1e-7}
    torch.testing.assert_close(
        sample(FlowMatching(), network, noise, None, **options), many, atol=1e-5, rtol=1e-5
    )
    together = sample(FlowMatching(), network, noise, None, batch_size=3, **options)
    torch.testing.assert_close(together, many, atol=1e-5, rtol=1e-5)
    (only,) = sampling_steps(FlowMatching(), network, noise, None, **options)
    assert only.time == 1.0 and torch.equal(only.clean, only.noisy)


def test_counting_is_per_image_over_uneven_batches() -> None:
    experiment = named_experiment("digits-flow")
    network = GaussianFlow()
    with counted_evaluations(network) as counted:
        generate(experiment, network, (1, 8, 8), 10, 7, torch.Generator(), sampler="heun", batch_size=4)
    assert counted.per_image(10) == 2 * 7 - 1
    network(torch.zeros(1, 1, 8, 8), torch.zeros(1))
    assert counted.per_image(10) == 13  # not counted any more


@pytest.mark.parametrize(
    ("objective", "options", "words"),
    [
        (FlowMatching(), {"steps": 20}, r"--evaluations\) must be left out for the dopri5 sampler, got 20"),
        (FlowMatching(), {"tolerance": 0.0}, r"tolerance must be between 0 and 1, got 0\.0; 1e-05 is usual"),
        (FlowMatching(), {"tolerance": float("nan")}, "tolerance must be between 0 and 1, got nan"),
        (
            FlowMatching(),
            {"sampler": "euler", "steps": 5, "tolerance": 1e-3},
            "left out for the euler sampler",
        ),
        (FlowMatching(), {"sampler": "euler"}, r"--evaluations\) must be given for the euler sampler"),
        (Diffusion(), {}, "unknown sampler for Diffusion 'dopri5'.*valid: ddim, heun"),
        (Consistency(), {}, "unknown sampler for Consistency 'dopri5'.*valid: multistep"),
    ],
)
def test_misuse_is_refused_at_once(objective: Objective, options: dict[str, object], words: str) -> None:
    given = {"steps": None, "sampler": "dopri5", **options}
    with pytest.raises(ValueError, match=words):
        sampling_steps(objective, GaussianFlow(), gaussian(0), given.pop("steps"), **given)


def test_a_path_that_cannot_be_followed_is_said_so() -> None:
    with pytest.raises(ValueError, match=r"cannot keep within tolerance 0\.001 here.*give a larger one"):
        sample(
            FlowMatching(),
            lambda noisy, time, condition: noisy * float("nan"),
            gaussian(0),
            None,
            sampler="dopri5",
            tolerance=1e-3,
        )


def test_the_commands_count_and_pass_it_on(immiscible: Command, tmp_path: Path) -> None:
    experiment = dataclasses.replace(named_experiment("digits-flow"), steps=4, batch_size=32)
    run = open_run(experiment, tmp_path / "run", log_with="none")
    for _ in advance(run, sheet_every=0):
        pass
    said = immiscible("sample", "run", "--count", "4", "--sampler", "dopri5", folder=tmp_path).stdout
    assert "network evaluations each)" in said
    evaluate = ("evaluate", "run", "--count", "70", "--features", "pixels", "--sampler")
    said = immiscible(*evaluate, "dopri5", "--tolerance", "1e-3", folder=tmp_path).stdout
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    ((key, scored),) = result["evaluations"].items()
    assert result["tolerance"] == 1e-3 and float(key) == scored["network_evaluations"] > 7
    assert f"{scored['network_evaluations']:g} evaluations: " in said
    said = immiscible(*evaluate, "heun", "--evaluations", "3", folder=tmp_path).stdout
    assert "3 steps, 5 evaluations: " in said
    wrong = immiscible(*evaluate, "dopri5", "--evaluations", "5", folder=tmp_path, ok=False).stderr
    assert "must be left out for the dopri5 sampler, got 5" in wrong and "Traceback" not in wrong
    immiscible("export", "run", folder=tmp_path)


def test_a_pipeline_has_it_too() -> None:
    experiment = named_experiment("digits-flow")
    network = build_network("mlp", (1, 8, 8)).eval().requires_grad_(False)
    pipeline = build_pipeline(experiment, network, (1, 8, 8))
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(3, torch.Generator().manual_seed(0), sampler="dopri5", output_type="pt").images
    noise = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    ours = sample(experiment.objective, network, noise, None, sampler="dopri5")
    torch.testing.assert_close(images, (ours / 2 + 0.5).clamp(0, 1))
