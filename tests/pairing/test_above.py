"""Pairing where noise is high: names, which rows are paired, the levels of every objective, and training."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from immiscible_diffusion.data.images import load_images, to_clean
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.objectives import (
    EDM,
    Consistency,
    Diffusion,
    FlowMatching,
    Objective,
    mixing_scales,
    noise_levels,
)
from immiscible_diffusion.pairing import (
    Above,
    Assigned,
    AssignedWithin,
    Independent,
    Nearest,
    Pairing,
    Rescaled,
    Staged,
    canonical_name,
    in_force,
    is_fitted,
    is_levelled,
    is_rescaled,
    pairing_from_name,
    told_apart,
    unscaled_name,
    without_level,
)
from immiscible_diffusion.runs.images import pairing_of


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("name", "canonical", "level"),
    [
        ("Assigned:Above1.0", "assigned:above1", 1.0),
        ("assigned:within:above.25", "assigned:within:above0.25", 0.25),
        ("nearest:dot:8:uncentred:above00010", "nearest:8:dot:uncentred:above10", 10.0),
        ("assigned:above0.0000001", "assigned:above0.0000001", 1e-7),
        ("Assigned:above", "assigned:above", "measured"),
        ("assigned:within:above", "assigned:within:above", "measured"),
    ],
)
def test_names(name: str, canonical: str, level: float | str) -> None:
    pairing = pairing_from_name(name, level=3.0)
    assert canonical_name(name) == canonical == canonical_name(canonical)
    assert without_level(canonical) == (canonical.rpartition(":")[0], level)
    assert isinstance(pairing, Above) and pairing.level == (3.0 if level == "measured" else level)
    assert not is_fitted(name) and is_levelled(name) == is_levelled(f"{name}:until50") == (
        level == "measured"
    )


def test_a_level_that_is_measured_is_needed() -> None:
    with pytest.raises(
        ValueError, match=r"none was given; pass told_apart\(images\), or write 'assigned:above1'"
    ):
        pairing_from_name("assigned:above")


def test_images_are_told_apart_up_to_this_noise() -> None:
    # All at one distance from each other: noise at the level errs seldom, at twice the level often.
    count, width = 512, 2048
    images = 10 * torch.eye(count, width)
    level = told_apart(images)
    assert level == pytest.approx(told_apart(iter(images.split(100)))) and level == pytest.approx(
        math.sqrt(200 * (1 - 1 / count) / (8 * math.log(count))), rel=1e-3
    )
    wrong = []
    for factor in (0.8, 2.0):
        noisy = images + factor * level * torch.randn(images.shape, generator=seeded(0))
        nearest = torch.cdist(noisy, images).argmin(dim=1)
        wrong.append(float((nearest != torch.arange(count)).float().mean()))
    assert wrong[0] < 0.05 and wrong[1] > 0.2, wrong


@pytest.mark.parametrize("image_std", [0.5, 1.3])
def test_a_run_measures_the_level_of_its_own_images(image_std: float) -> None:
    data = load_images("digits")
    experiment = dataclasses.replace(
        named_experiment("digits-flow"), pairing="assigned:above", image_std=image_std
    )
    pairing = pairing_of(experiment, data, torch.zeros(1))
    assert isinstance(pairing, Above) and isinstance(pairing.pairing, Assigned)
    assert pairing.level == pytest.approx(told_apart(to_clean(data.pixels, image_std)), rel=1e-5)
    assert pairing.level == pytest.approx(0.79 * image_std / 0.5, rel=0.02)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 4), "images must be 2 or more to be told apart, got 1"),
        (torch.ones(3, 4), "images must differ to be told apart"),
    ],
)
def test_what_cannot_be_told_apart(images: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        told_apart(images)


@settings(deadline=None, derandomize=True)
@given(st.floats(1e-9, 1e9))
def test_a_written_level_is_read_again(level: float) -> None:
    name = canonical_name(f"assigned:above{level:.12f}")
    assert canonical_name(name) == name and "e" not in name.rpartition("above")[2]


def test_it_stands_within_a_stage_and_around_what_is_rescaled() -> None:
    staged = pairing_from_name("assigned:within:above1:until50")
    assert isinstance(staged, Staged) and isinstance(staged.pairing, Above)
    assert isinstance(staged.pairing.pairing, AssignedWithin)
    assert isinstance(in_force(staged, 0.2), Above) and isinstance(in_force(staged, 0.7), Independent)
    name = "nearest:8:uncentred:rescaled:above2"
    assert is_rescaled(name) and unscaled_name(name) == "nearest:8:uncentred"
    rescaled = pairing_from_name(name, moments=(torch.zeros(1), 1.0))
    assert isinstance(rescaled, Above) and isinstance(rescaled.pairing, Rescaled)


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from([0.0, 0.3, 0.999, 1.0, 5.0, math.inf]), min_size=1, max_size=12),
    st.sampled_from([Assigned(), Nearest(k=4), Independent()]),
    st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_rows_at_the_level_or_more_are_paired_and_no_others(
    levels: list[float], pairing: Pairing, dtype: torch.dtype
) -> None:
    images = torch.randn(len(levels), 3, 2, generator=seeded(0)).to(dtype)
    noise = Above(pairing, 1.0).at(torch.tensor(levels))(images, generator=seeded(1))
    generator = seeded(1)
    paired = pairing(images, generator=generator)
    plain = Independent()(images, generator=generator)
    assert noise.dtype == dtype and noise.shape == images.shape
    for row, level in enumerate(levels):
        assert torch.equal(noise[row], (paired if level >= 1 else plain)[row])


def test_where_all_noise_is_high_nothing_else_is_drawn() -> None:
    images, generator, alone = torch.randn(1, 4, generator=seeded(0)), seeded(1), seeded(1)
    noise = Above(Nearest(k=4), 1.0).at(torch.tensor([2.0]))(images, generator=generator)
    assert torch.equal(noise, Nearest(k=4)(images, generator=alone))
    assert torch.equal(generator.get_state(), alone.get_state())


def test_called_it_pairs() -> None:
    images = torch.randn(8, 4, generator=seeded(0))
    assert torch.equal(
        Above(Assigned())(images, generator=seeded(1)), Assigned()(images, generator=seeded(1))
    )


def test_below_the_level_noise_is_independent_of_the_image() -> None:
    images = torch.randn(512, 16, generator=seeded(0))
    levels = torch.arange(512) % 2 * 2.0
    noise = Above(Assigned(), 1.0).at(levels)(images, generator=seeded(1))
    lean = (noise * images).mean(dim=1)
    low, high = lean[levels < 1], lean[levels > 1]
    assert abs(low.mean()) < 4 * low.std() / math.sqrt(len(low)) and high.mean() > 10 * low.std() / 16
    assert 0.95 < noise[levels < 1].std() < 1.05


@pytest.mark.parametrize(
    ("objective", "time", "expected"),
    [
        (EDM(), torch.tensor([0.1, 2.0]), [0.1, 2.0]),
        (FlowMatching(), torch.tensor([0.0, 0.25, 0.5, 1.0]), [0.0, 1 / 3, 1.0, math.inf]),
        (Consistency(), torch.tensor([[3.0, 2.0], [0.5, 0.2]]), [3.0, 0.5]),
    ],
)
def test_levels_are_noise_over_image(objective: Objective, time: Tensor, expected: list[float]) -> None:
    assert torch.allclose(noise_levels(objective, time), torch.tensor(expected))


def test_levels_of_diffusion_are_those_of_its_scheduler() -> None:
    objective = Diffusion()
    alphas = objective.scheduler().alphas_cumprod
    time = torch.tensor([0, 260, 999])
    assert torch.allclose(noise_levels(objective, time), ((1 - alphas) / alphas).sqrt()[time], rtol=1e-4)
    clean, noise = mixing_scales(objective, time, torch.ones(3, 1))
    assert torch.allclose(noise_levels(objective, time), (noise / clean).flatten())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("assigned:above0", "must begin at a noise level greater than 0, or write ':above'"),
        ("independent:above1", "cannot begin at a noise level; only nearest and assigned can"),
        ("semidiscrete:above1", "cannot begin at a noise level; only nearest and assigned can"),
        ("assigned:above1:above2", "only nearest and assigned can, once, before any stage"),
        ("assigned:until50:above1", "once, before any stage: 'assigned:above', 'assigned:above:until50'"),
        ("independent:above", "cannot begin at a noise level; only nearest and assigned can"),
        ("nearest:above-1", "above, batch"),
    ],
)
def test_refusals(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        canonical_name(name)


@pytest.mark.parametrize("level", [0.0, -1.0, math.inf, math.nan])
def test_a_level_is_a_positive_number(level: float) -> None:
    with pytest.raises(ValueError, match="level must be greater than 0 and finite"):
        Above(Assigned(), level)


def test_levels_are_one_a_row() -> None:
    above = Above(Assigned())
    for levels in (torch.ones(()), torch.ones(2, 1), torch.tensor([1.0, math.nan])):
        with pytest.raises(ValueError, match="levels must be one noise level σ a row"):
            above.at(levels)
    with pytest.raises(ValueError, match="levels must have 3 rows, one for each of clean's, got 2"):
        above.at(torch.ones(2))(torch.zeros(3, 4))
