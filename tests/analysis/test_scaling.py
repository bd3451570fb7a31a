"""Scaling: one comparison over image stds, on the same pixels."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from immiscible_diffusion.analysis.scaling import mixed, scaling
from immiscible_diffusion.analysis.trained_runs import load_runs
from immiscible_diffusion.comparison import Plan, variants
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment


def experiment(**settings: object) -> Experiment:
    small = {"steps": 6, "batch_size": 32, "rows": 150, "warmup_steps": 1, **settings}
    return dataclasses.replace(named_experiment("digits-flow"), **small)


def plan(**settings: object) -> Plan:
    small = {"pairings": ("independent",), "image_stds": (0.5, 2.0), "seeds": 2, "points": 2, "count": 70}
    return Plan(**{**small, "evaluations": (3,), "judged_at": 3, **settings})  # type: ignore[arg-type]


def test_variants_are_named_by_what_differs() -> None:
    assert list(variants(experiment(), plan())) == ["image std 0.5", "image std 2"]
    two = plan(pairings=("nearest:4", "independent"))
    assert list(variants(experiment(), two)) == [
        "nearest:4, image std 0.5",
        "independent, image std 0.5",
        "nearest:4, image std 2",
        "independent, image std 2",
    ]
    assert two.baseline == "independent, image std 0.5"
    alone = Plan(("independent", "assigned"), image_stds=(2.0,))
    assert {name: one.image_std for name, one in variants(experiment(), alone).items()} == {
        "independent": 2.0,
        "assigned": 2.0,
    }
    assert Plan(("independent", "assigned")).baseline == "independent"
    with pytest.raises(ValueError, match="image_stds must differ, got 2 2"):
        plan(image_stds=(2.0, 2.0))
    with pytest.raises(ValueError, match="two or more different ones, got independent"):
        plan(image_stds=(2.0,))


def test_every_std_is_trained_measured_and_found_again(tmp_path: Path) -> None:
    said: list[str] = []
    arguments = {"samples": 8, "trajectories": 10, "report": said.append, "jobs": 1}
    finding = scaling(experiment(), plan(), tmp_path, **arguments)  # type: ignore[arg-type]
    runs = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert runs == [f"image-std-{std}-seed{seed}" for std in ("0.5", "2") for seed in (0, 1)]
    curves = finding.values["comparison"]["curves"]
    assert [curve["pairing"] for curve in curves] == ["image std 0.5", "image std 2"] * 2
    last = curves[3]["points"][-1]["scores"]["3"]["frechet"]
    steps = finding.values["denoising"]["groups"]["image std 2"]["frechet_per_seed"][1]
    assert steps[-1] == pytest.approx(last, rel=1e-6)  # both on bytes brought back from the scale
    assert {"", "denoising", "denoising-film", "denoising-trajectories", "miscibility"} == set(
        finding.pictures
    )
    assert "image std 2" in finding.sentence and "100% is fully mixed" in finding.sentence
    said.clear()
    again = scaling(experiment(), plan(), tmp_path, **arguments)  # type: ignore[arg-type]
    assert all("step" not in line for line in said) and "done before" in said[-1]
    assert again.values["denoising"] == finding.values["denoising"]


def test_larger_images_are_less_mixed_and_pure_noise_knows_nothing(run_folders: dict[str, Path]) -> None:
    runs = load_runs([run_folders["flow"]])
    shares = mixed(experiment(), plan(judged_at=6, evaluations=(6,)), runs, samples=40)
    small, large = (np.array(shares[name]["share_of_ln_n"]) for name in ("image std 0.5", "image std 2"))
    assert small[0] == large[0] == pytest.approx(1)  # independent noise alone
    assert (np.diff(small) < 0.02).all() and large.mean() < small.mean() - 0.1
    assert mixed(experiment(), plan(pairings=("assigned",)), runs, samples=8) == {}


def test_one_std_or_two_pairings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"stds must be two or more under one pairing, got 0\.5 2\.0 under ind"
    ):
        scaling(experiment(), plan(pairings=("independent", "assigned")), tmp_path)
    assert not list(tmp_path.iterdir())
