"""The noise of several steps as one pool: what assignment makes of it, exact resume, what it leaves alone."""

import dataclasses
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from tests.small_runs import small
from torch import Tensor

from immiscible_diffusion.batches import noise_of, paired_batches
from immiscible_diffusion.data.images import load_images, mean_image
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.networks import build_network
from immiscible_diffusion.noise_moments import lean, paired_rows
from immiscible_diffusion.objectives import noise_levels
from immiscible_diffusion.pairing import Above, Assigned, Pairing, pairing_from_name
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.training import make_batch, training_steps

DATA = load_images("digits")


def noises(
    monkeypatch: pytest.MonkeyPatch, experiment: Experiment, pairing: Pairing, first_step: int = 0
) -> list[Tensor]:
    """The noise of every step from `first_step` on, as the loss is given it."""
    given: list[Tensor] = []
    loss = type(experiment.objective).loss

    def spied(self: Any, network: Any, clean: Tensor, noise: Tensor, *rest: Any) -> Tensor:
        given.append(noise)
        return loss(self, network, clean, noise, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(type(experiment.objective), "loss", spied)
        network = build_network("mlp", DATA.shape)
        optimizer = torch.optim.AdamW(network.parameters())
        accelerator = Accelerator(cpu=True)
        for _ in training_steps(experiment, DATA, pairing, network, optimizer, accelerator, first_step):
            pass
    return given


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@pytest.mark.parametrize("name", ["independent", "nearest:4:uncentred", "assigned"])
def test_a_window_is_one_pool(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    experiment, pairing = small(steps=6, pairing_window=3), pairing_from_name(name)
    expected: list[Tensor] = []
    for first in (0, 3):
        clean = torch.cat([make_batch(experiment, DATA, step).clean for step in range(first, first + 3)])
        drawn = pairing(clean, generator=generator_for(experiment.seed, "noise", first))
        expected += drawn.split(experiment.batch_size)
    assert same(noises(monkeypatch, experiment, pairing), expected)


def test_a_window_of_one_is_each_step_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = small(steps=3)
    expected = [
        Assigned()(make_batch(experiment, DATA, step).clean, generator=generator_for(0, "noise", step))
        for step in range(3)
    ]
    assert experiment.pairing_window == 1
    assert same(noises(monkeypatch, experiment, Assigned()), expected)


@pytest.mark.parametrize("first_step", [1, 3, 4])
def test_a_run_taken_up_within_a_window_goes_on_alike(
    monkeypatch: pytest.MonkeyPatch, first_step: int
) -> None:
    experiment = small(steps=7, pairing_window=3)
    whole = noises(monkeypatch, experiment, Assigned())
    assert same(noises(monkeypatch, experiment, Assigned(), first_step), whole[first_step:])
    # Made longer, it has had the noise that the longer run has.
    longer = dataclasses.replace(experiment, steps=9)
    assert same(noises(monkeypatch, longer, Assigned())[:7], whole)


def test_a_curriculum_ends_with_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = dataclasses.replace(
        named_experiment("digits-consistency"), steps=4, batch_size=16, pairing_window=3
    )
    last = make_batch(experiment, DATA, 3)
    (expected,) = noise_of([last], Assigned(), generator_for(experiment.seed, "noise", 3))
    assert torch.equal(noises(monkeypatch, experiment, Assigned())[-1], expected)


def test_each_row_of_a_window_is_paired_by_its_own_level(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment, above = small(steps=3, pairing_window=3), Above(Assigned(), 1.0)
    batches = [make_batch(experiment, DATA, step) for step in range(3)]
    levels = torch.cat([noise_levels(experiment.objective, batch.time) for batch in batches])
    clean = torch.cat([batch.clean for batch in batches])
    expected = above.at(levels)(clean, generator=generator_for(experiment.seed, "noise"))
    assert same(noises(monkeypatch, experiment, above), list(expected.split(16)))


def test_stages_begin_with_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = small(steps=6, pairing_window=3)
    staged = noises(monkeypatch, experiment, pairing_from_name("assigned:until50"))
    assert same(staged[:3], noises(monkeypatch, experiment, Assigned())[:3])
    assert same(staged[3:], noises(monkeypatch, experiment, pairing_from_name("independent"))[3:])


def test_a_larger_pool_lets_noise_lean_more() -> None:
    centre = mean_image(DATA)
    leans = [
        lean(*paired_rows(small(pairing_window=window), DATA, Assigned(), 2048), centre) for window in (1, 16)
    ]
    assert leans[1] > 1.3 * leans[0] > 1.0


def test_measured_batches_are_paired_in_windows_too() -> None:
    experiment = small()
    drawn = list(
        paired_batches(lambda step: make_batch(experiment, DATA, step), Assigned(), 0, "skew", range(5), 2)
    )
    batches = [make_batch(experiment, DATA, step) for step in range(5)]
    expected = [
        noise
        for first in (0, 2, 4)
        for noise in noise_of(batches[first : first + 2], Assigned(), generator_for(0, "skew", first))
    ]
    assert same([noise for _, noise in drawn], expected)
    assert same([batch.clean for batch, _ in drawn], [batch.clean for batch in batches])


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="pairing_window must be 1 or more, got 0"):
        small(pairing_window=0)
