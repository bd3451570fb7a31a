"""Denoising: the predictions of each step, their distances, and the finding."""

from pathlib import Path

import numpy as np
import pytest
import torch

from immiscible_diffusion.analysis import read_findings, write_finding
from immiscible_diffusion.analysis.denoising import denoising
from immiscible_diffusion.analysis.trained_runs import images_from, load_runs
from immiscible_diffusion.analysis.trajectories import as_points, predicted_images, shared_map
from immiscible_diffusion.evaluation import feature_network, prepare_reference
from immiscible_diffusion.scoring import score_network

SMALL = {"evaluations": 4, "count": 70, "trajectories": 20}


@pytest.mark.parametrize("name", ["independent-0", "flow"])
def test_the_last_prediction_is_the_image_and_each_is_equation_2(
    name: str, run_folders: dict[str, Path]
) -> None:
    model = load_runs([run_folders[name]]).groups[0].models[0]
    noise = torch.randn(5, *model.shape, generator=torch.Generator().manual_seed(0))
    times, images = predicted_images(model, noise, 4, batch_size=3)
    assert len(times) == 4 == len(images) and times == sorted(times, reverse=True)
    assert torch.equal(images[-1], images_from(model, noise, 4))
    time = torch.tensor(times[0], dtype=torch.long if name != "flow" else torch.float32)
    clean = model.experiment.objective.estimate(model.network, noise, time, None).clean
    expected = ((clean + 1) * 127.5).round().clamp(0, 255).byte()
    assert int((images[0].int() - expected.int()).abs().max()) <= 1


def test_the_last_distance_is_what_evaluate_measures(run_folders: dict[str, Path], tmp_path: Path) -> None:
    runs = load_runs([folder for name, folder in run_folders.items() if name != "flow"])
    features = feature_network("probe", runs.data)
    finding = denoising(runs, features, **SMALL)  # type: ignore[arg-type]
    model = runs.groups[1].models[1]
    assert model.experiment.seed == 1 and model.experiment.pairing == "nearest:4"
    reference = prepare_reference(runs.data.pixels, features)
    scores, _ = score_network(model.experiment, model.network, runs.data, reference, [4], 70)
    values = finding.values["groups"]["nearest:4"]
    assert values["frechet_per_seed"][1][-1] == pytest.approx(scores[4].frechet, rel=1e-6)
    base = finding.values["groups"]["independent"]
    apart = np.subtract(values["frechet_per_seed"], base["frechet_per_seed"]).mean(axis=0)
    assert values["frechet_difference"]["mean"] == pytest.approx(apart.tolist())
    assert values["neighbour_turnover"][-1] == 0
    assert set(finding.pictures) == {"", "film", "trajectories"}
    assert "Fréchet distance (probe(digits) features)" in finding.sentence and "FID" not in finding.sentence
    write_finding(finding, tmp_path)
    assert read_findings(tmp_path)[0].sentence == finding.sentence


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"evaluations": 2}, "evaluations must be 3 or more"),
        ({"trajectories": 71}, r"trajectories must be from 8 to count \(70\), got 71"),
        ({"real": 1}, "real must be 2 images or more, got 1"),
    ],
)
def test_numbers_out_of_range_are_refused(
    change: dict[str, int], said: str, run_folders: dict[str, Path]
) -> None:
    runs = load_runs([run_folders["flow"]])
    with pytest.raises(ValueError, match=said):
        denoising(runs, feature_network("pixels", runs.data), **{**SMALL, **change})


def test_one_map_holds_equal_images_at_equal_places() -> None:
    ways = torch.randn(3, 12, 6, generator=torch.Generator().manual_seed(0))
    first, second = shared_map([ways, ways], seed=0)
    assert first.shape == (3, 12, 2)
    apart = np.linalg.norm(first - second, axis=2)
    assert np.median(apart) < 0.2 * np.median(np.linalg.norm(first - first.mean((0, 1)), axis=2))


def test_points_are_pixels_from_minus_one_to_one() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1, 1, 1)
    assert as_points(images).flatten().tolist() == [-1, 1]
