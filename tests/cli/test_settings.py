"""What the command line makes of a named experiment, and what `compare` measures when not told."""

import dataclasses
import importlib
from typing import Any

import pytest

from immiscible_diffusion.cli.settings import Settings, chosen_experiment
from immiscible_diffusion.cli.text_to_image import TextToImageSettings
from immiscible_diffusion.comparison.plan import Plan, variants
from immiscible_diffusion.objectives import EDM, Consistency, Diffusion, FlowMatching

compare_module = importlib.import_module("immiscible_diffusion.cli.compare")


def test_the_objectives_settings_are_replaced_alone() -> None:
    assert chosen_experiment("digits-ddim", Settings(prediction="v", steps=3)).objective == Diffusion("v")
    chosen = chosen_experiment("digits-edm", Settings(sigma_data=0.7, steps=3))
    assert chosen.objective == EDM(sigma_data=0.7, log_mean=0.0) and chosen.steps == 3
    assert chosen_experiment("digits-flow", Settings(image_std=2.0)).image_std == 2.0
    for name in ("digits-flow", "pusht"):
        assert chosen_experiment(name, Settings(pairing_window=4)).pairing_window == 4


def test_a_trained_text_encoder_needs_no_vocabulary() -> None:
    def chosen(**text: str) -> Any:
        return chosen_experiment("flickr8k-latent", Settings(), text=TextToImageSettings(**text))

    assert chosen(text_encoder="openai/clip-vit-base-patch32").vocabulary == ""
    assert chosen(text_encoder="clip-untrained:128").vocabulary == chosen().vocabulary != ""
    assert chosen(text_encoder="clip-untrained:64", vocabulary="").vocabulary == ""  # not the working folder
    with pytest.raises(ValueError, match="--text-encoder does not apply to digits-flow"):
        chosen_experiment("digits-flow", Settings(), text=TextToImageSettings(text_encoder="a/clip"))


def test_sigma_data_follows_the_scale_of_the_images_unless_given() -> None:
    assert chosen_experiment("digits-consistency", Settings(image_std=2.0)).objective == Consistency(
        sigma_data=2.0
    )
    given = Settings(image_std=2.0, sigma_data=0.5)
    assert chosen_experiment("digits-edm", given).objective == EDM(sigma_data=0.5, log_mean=0.0)
    with pytest.raises(ValueError, match=r"image_std must be greater than 0, got -1\.0"):
        chosen_experiment("digits-edm", Settings(image_std=-1.0))


def test_a_comparison_of_scales_changes_sigma_data_with_them() -> None:
    experiment = chosen_experiment("digits-edm", Settings())
    plan = Plan(("independent", "assigned"), image_stds=(0.5, 2.0))
    trained = variants(experiment, plan).values()
    assert [one.objective for one in trained] == [EDM(log_mean=0.0)] * 2 + [
        EDM(sigma_data=2.0, log_mean=0.0)
    ] * 2
    assert [one.image_std for one in trained] == [0.5, 0.5, 2.0, 2.0]


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        (
            "digits-flow",
            {"prediction": "v"},
            "--prediction is for diffusion, and digits-flow is flow-matching",
        ),
        (
            "digits-edm",
            {"schedule": "cosine"},
            "--schedule is for diffusion, and digits-edm is edm; leave it out",
        ),
        (
            "digits-ddim",
            {"sigma_data": 0.5},
            "--sigma-data is for edm and consistency, and digits-ddim is diffusion",
        ),
        ("digits-consistency", {"sigma_data": 0.0}, r"sigma_data must be greater than 0, got 0\.0"),
        (
            "digits-ddim",
            {"logit_mean": 1.0},
            "--logit-mean is for flow-matching, and digits-ddim is diffusion",
        ),
        ("digits-flow", {"log_mean": 0.0}, "--log-mean is for edm and consistency, and digits-flow is flow"),
        (
            "digits-edm",
            {"log_mean": float("inf")},
            "log_mean must be a finite number, got inf; -1.2 is usual",
        ),
        ("digits-edm", {"log_std": 0.0}, r"log_std must be greater than 0, got 0\.0"),
    ],
)
def test_a_setting_of_another_objective_is_refused(name: str, settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        chosen_experiment(name, Settings(**settings))


@pytest.mark.parametrize(
    ("name", "given", "evaluations", "judged_at"),
    [
        ("digits-flow", {}, (5, 20, 50), 20),
        ("digits-edm", {}, (5, 20, 50), 20),
        ("digits-consistency", {}, (1, 2, 4), 1),
        ("digits-consistency", {"judged_at": 2}, (1, 2, 4), 2),
        ("digits-consistency", {"evaluations": (2, 8), "judged_at": 8}, (2, 8), 8),
    ],
)
def test_compare_measures_where_the_objective_is_used(
    monkeypatch: pytest.MonkeyPatch, name: str, given: dict, evaluations: tuple[int, ...], judged_at: int
) -> None:
    plans = []
    monkeypatch.setattr(compare_module, "_compared", lambda chosen, plan, *rest: plans.append(plan))
    monkeypatch.setattr(compare_module, "_report", lambda *rest: None)
    compare_module.compare(name, **given)
    assert (plans[0].evaluations, plans[0].judged_at) == (evaluations, judged_at)


def test_settings_are_fields_of_an_experiment_or_of_an_objective() -> None:
    names = {field.name for field in dataclasses.fields(Settings)}
    experiment = chosen_experiment("digits-flow", Settings())
    owners = [experiment, Diffusion(), EDM(), Consistency(), FlowMatching()]
    known = {field.name for owner in owners for field in dataclasses.fields(owner)}
    assert names <= known


def test_the_times_of_flow_matching_can_be_set() -> None:
    chosen = chosen_experiment("digits-flow", Settings(logit_mean=1.0, logit_std=0.5))
    assert chosen.objective == FlowMatching(1.0, 0.5)


def test_the_noise_levels_of_edm_and_consistency_can_be_set() -> None:
    settings = Settings(log_mean=0.5, log_std=2.0)
    for name in ("digits-edm", "digits-consistency"):
        objective = chosen_experiment(name, settings).objective
        assert isinstance(objective, EDM | Consistency)
        assert (objective.log_mean, objective.log_std) == (0.5, 2.0)
