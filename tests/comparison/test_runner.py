"""Comparisons on real data: matched seeds, interrupted and gone on with."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from immiscible_diffusion.comparison import Comparison, Plan, run_comparison
from immiscible_diffusion.comparison.runner import milestones
from immiscible_diffusion.experiments import named_experiment

EXPERIMENT = dataclasses.replace(named_experiment("digits-flow"), steps=12, batch_size=64)
PLAN = Plan(
    ("independent", "nearest:4", "assigned"), seeds=2, evaluations=(2, 4), judged_at=4, points=3, count=70
)


def scores(comparison: Comparison) -> list[object]:
    return [
        (curve.pairing, curve.seed, [(point.step, point.scores) for point in curve.points])
        for curve in comparison.curves
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, dict[str, torch.Tensor], Path]:
    folder = tmp_path_factory.mktemp("whole")
    return *run_comparison(EXPERIMENT, PLAN, folder, jobs=1), folder


def test_every_pairing_and_seed_is_measured_alike(
    whole: tuple[Comparison, dict[str, torch.Tensor], Path],
) -> None:
    comparison, samples, _ = whole
    assert [(curve.seed, curve.pairing) for curve in comparison.curves] == [
        (seed, name) for seed in (0, 1) for name in PLAN.pairings
    ]
    for curve in comparison.curves:
        assert [point.step for point in curve.points] == [4, 8, 12]
        assert all(set(point.scores) == {2, 4} for point in curve.points)
        assert 0 < curve.pairing_share < 1 and curve.seconds_per_step > 0
    assert set(samples) == set(PLAN.pairings)
    assert all(sheet.shape == (36, 1, 8, 8) and sheet.dtype == torch.uint8 for sheet in samples.values())
    assert comparison.baseline == "independent" and comparison.feature_network == "probe(digits)"
    assert comparison.distance_name != "FID" and comparison.real_count == 1797
    assert comparison.settings["objective"]["kind"] == "FlowMatching"


def test_what_is_done_is_not_done_again(
    whole: tuple[Comparison, dict[str, torch.Tensor], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison, _, folder = whole

    def trained(*arguments: object, **named: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("immiscible_diffusion.comparison.subject.open_run", trained)
    again, _ = run_comparison(EXPERIMENT, PLAN, folder)
    assert again.curves == comparison.curves
    with pytest.raises(AssertionError, match="trained again"):  # seeds can be added
        run_comparison(EXPERIMENT, dataclasses.replace(PLAN, seeds=3), folder, jobs=1)


@pytest.mark.parametrize("stop_after", [1, 4, 9])
def test_an_interrupted_comparison_ends_with_the_same_distances(
    whole: tuple[Comparison, dict[str, torch.Tensor], Path], tmp_path: Path, stop_after: int
) -> None:
    said = []

    def stop(text: str) -> None:
        said.append(text)
        if len(said) == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_comparison(EXPERIMENT, PLAN, tmp_path, report=stop, jobs=1)
    comparison, _ = run_comparison(EXPERIMENT, PLAN, tmp_path, jobs=1)
    assert scores(comparison) == scores(whole[0])


def test_runs_in_processes_of_their_own_end_alike(
    whole: tuple[Comparison, dict[str, torch.Tensor], Path], tmp_path: Path
) -> None:
    said: list[str] = []
    comparison, samples = run_comparison(EXPERIMENT, PLAN, tmp_path, report=said.append, jobs=2)
    for ours, theirs in zip(comparison.curves, whole[0].curves, strict=True):
        assert (ours.pairing, ours.seed) == (theirs.pairing, theirs.seed)
        for one, other in zip(ours.points, theirs.points, strict=True):
            for evaluations, score in one.scores.items():  # another number of threads rounds differently
                assert score.frechet == pytest.approx(other.scores[evaluations].frechet, rel=1e-2)
    assert set(samples) == set(whole[1])
    assert sum("step 12/12" in text for text in said) == 6
    with pytest.raises(ValueError, match="jobs must be 1 or more, got 0"):
        run_comparison(EXPERIMENT, PLAN, tmp_path, jobs=0)


def test_an_error_in_a_process_reaches_the_caller(
    whole: tuple[Comparison, dict[str, torch.Tensor], Path], tmp_path: Path
) -> None:
    shutil.copytree(whole[2], tmp_path, dirs_exist_ok=True)
    config = tmp_path / "runs" / "assigned-seed1" / "config.json"
    config.write_text(config.read_text().replace('"learning_rate": ', '"learning_rate": 9'))
    for seed in (0, 1):
        (tmp_path / "runs" / f"assigned-seed{seed}" / "sheet.safetensors").unlink()
    with pytest.raises(ValueError, match=r"began with other settings .*learning_rate"):
        run_comparison(EXPERIMENT, PLAN, tmp_path, jobs=2)


def test_a_run_killed_before_its_measurement_is_measured(
    whole: tuple[Comparison, dict[str, torch.Tensor], Path], tmp_path: Path
) -> None:
    shutil.copytree(whole[2], tmp_path, dirs_exist_ok=True)
    killed = tmp_path / "runs" / "nearest-4-seed1"
    lines = (killed / "evaluations.jsonl").read_text().splitlines()
    (killed / "evaluations.jsonl").write_text("".join(line + "\n" for line in lines[:2]))
    (killed / "sheet.safetensors").unlink()
    again, _ = run_comparison(EXPERIMENT, PLAN, tmp_path, jobs=1)
    assert scores(again) == scores(whole[0])


def test_measurements_of_different_kinds_are_not_mixed(
    whole: tuple[Comparison, dict[str, torch.Tensor], Path],
) -> None:
    with pytest.raises(ValueError, match=r"was measured in another way \(count 70 → 71\)"):
        run_comparison(EXPERIMENT, dataclasses.replace(PLAN, count=71), whole[2])
    assert json.loads((whole[2] / "measure.json").read_text())["count"] == 70


def test_milestones_end_at_the_end() -> None:
    assert milestones(1000, 4) == [250, 500, 750, 1000]
    assert milestones(3, 10) == [1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pairings": ("independent",)}, "pairings must be two or more different ones, got independent"),
        ({"pairings": ("nearest:8", "nearest")}, "different ones"),
        ({"pairings": ("independent", "assined")}, "did you mean 'assigned'"),
        ({"seeds": 0}, "seeds must be 1 or more, got 0"),
        ({"count": 1}, "count must be 2 images or more, got 1"),
        ({"judged_at": 7}, r"hold judged_at, got \(5, 20, 50\) and 7"),
    ],
)
def test_bad_plans_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Plan(**settings)
