"""Runs side by side: which are refused, and how they are grouped."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.analysis.conftest import train

from immiscible_diffusion.analysis.trained_runs import images_from, load_runs
from immiscible_diffusion.analysis.trajectories import predicted_images
from immiscible_diffusion.runs.trained_model import load_trained


def test_runs_of_other_objectives_or_data_are_refused(run_folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be compared: they differ in objective Diffusion\(.*FlowM"):
        load_runs([run_folders["independent-0"], run_folders["flow"]])
    other = train(tmp_path, pairing="independent", rows=100, steps=1)
    with pytest.raises(ValueError, match="cannot be compared: they differ in data 'digits'"):
        load_runs([run_folders["independent-0"], other])


def test_the_same_pairing_and_seed_twice_is_refused(run_folders: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(run_folders["independent-0"], tmp_path / "copy")
    with pytest.raises(ValueError, match="is the second independent of seed 0; give each"):
        load_runs([run_folders["independent-0"], Path(copy)])


def test_no_run_and_other_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no run given"):
        load_runs([])
    with pytest.raises(FileNotFoundError, match="is no run folder"):
        load_runs([tmp_path])


def test_data_that_changed_is_named(run_folders: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run_folders["independent-0"], tmp_path / "copy"))
    described = json.loads((copy / "data.json").read_text())
    (copy / "data.json").write_text(json.dumps(described | {"fingerprint": "other"}))
    with pytest.raises(ValueError, match=r"is not what .* was trained on; give its place with --data"):
        load_runs([copy])


def test_differences_make_groups_or_warnings(run_folders: dict[str, Path], tmp_path: Path) -> None:
    scaled = train(tmp_path, pairing="independent", image_std=2.0, steps=5)
    runs = load_runs([scaled, run_folders["independent-0"]])
    assert [group.name for group in runs.groups] == ["image std 2, 5 steps", "image std 0.5, 12 steps"]
    assert any("steps (5, 12)" in warning for warning in runs.warnings)
    assert any("one seed says nothing" in warning for warning in runs.warnings)


def test_a_comparisons_folder_stands_for_its_runs(run_folders: dict[str, Path], tmp_path: Path) -> None:
    for name in ("independent-0", "nearest:4-0"):
        shutil.copytree(run_folders[name], tmp_path / "runs" / name.replace(":", "-"))
    assert [group.name for group in load_runs([tmp_path]).groups] == ["independent", "nearest:4"]


def test_a_sampler_that_adds_noise_adds_the_same_to_every_image(tmp_path: Path) -> None:
    model = load_trained(train(tmp_path, "digits-consistency", pairing="independent", steps=8))
    noise = torch.randn(1, *model.shape, generator=torch.Generator().manual_seed(0)).repeat(2, 1, 1, 1)
    images = images_from(model, 80 * noise, 4)
    assert torch.equal(images[0], images[1])
    torch.manual_seed(3)
    assert torch.equal(images, images_from(model, 80 * noise, 4))
    times, predicted = predicted_images(model, 80 * noise, 4)
    assert len(times) == 4 and torch.equal(predicted[-1], images)
