"""Stability: Eq. 1, the largest W that keeps the class, and the finding."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from immiscible_diffusion.analysis import write_finding
from immiscible_diffusion.analysis.perturbation import (
    draw_noises,
    interval_over_origins,
    largest_kept,
    measure_movement,
    perturbed,
)
from immiscible_diffusion.analysis.stability import stability
from immiscible_diffusion.analysis.trained_runs import images_from, load_runs
from immiscible_diffusion.evaluation import classifier_for, feature_network, predicted_classes

SMALL = {"strengths": (0.1, 0.4), "origins": 4, "perturbations": 3, "evaluations": 3}


def test_perturbed_noise_is_equation_1_unless_renormalised() -> None:
    noises = draw_noises((1, 40, 40), (0.5, 0.2), 2, 3, seed=0)
    assert noises.strengths == (0.2, 0.5)
    total = perturbed(noises, 0.5)
    torch.testing.assert_close(total[1, 2], noises.origin[1] + 0.5 * noises.perturbation[1, 2])
    assert float(total.std()) == pytest.approx(1.25**0.5, rel=0.03)
    again = draw_noises((1, 40, 40), (0.5,), 2, 3, seed=0, renormalised=True)
    assert float(perturbed(again, 0.5).std()) == pytest.approx(1, rel=0.03)
    torch.testing.assert_close(again.origin, noises.origin)


def test_largest_kept_is_read_between_strengths() -> None:
    strengths = (0.1, 0.2, 0.3)
    assert largest_kept(strengths, np.array([0.0, 0.1, 0.5])) == pytest.approx(0.15)
    assert largest_kept(strengths, np.array([0.1, 0.0, 0.5])) == pytest.approx(0.05)  # the first crossing
    assert largest_kept(strengths, np.array([0.0, 0.05, 0.05])) == np.inf  # exactly 95 % keep it
    both = np.array([[0.0, 0.1], [0.1, 0.0], [0.5, 0.5]])
    assert largest_kept(strengths, both).tolist() == pytest.approx([0.15, 0.05])


def test_interval_over_origins_holds_the_middle_and_narrows() -> None:
    generator = np.random.default_rng(0)
    strengths = (0.1, 0.2, 0.3, 0.4, 0.5)
    rising = np.array(strengths)[:, None] * np.ones((1, 400))
    noisy = np.clip(rising + generator.normal(0, 0.1, rising.shape), 0, 1)
    middle = float(largest_kept(strengths, noisy.mean(axis=1)))
    wide = interval_over_origins(strengths, [noisy[:, :10]], 0, 300)
    narrow = interval_over_origins(strengths, [noisy], 0, 300)
    assert narrow[0] < middle < narrow[1]
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"origins": 1}, "origins must be 2 or more, got 1"),
        ({"perturbations": 0}, "perturbations must be 1 or more, got 0"),
        ({"strengths": ()}, "strengths must be above 0, got none"),
        ({"strengths": (0.0, 0.1)}, "strengths must be above 0, got 0.0 0.1"),
    ],
)
def test_numbers_out_of_range_are_refused(
    change: dict[str, object], said: str, run_folders: dict[str, Path]
) -> None:
    runs = load_runs([run_folders["flow"]])
    with pytest.raises(ValueError, match=said):
        stability(runs, feature_network("pixels", runs.data), **{**SMALL, **change})  # type: ignore[arg-type]


def test_what_is_measured_is_the_distance_to_the_origins_image(run_folders: dict[str, Path]) -> None:
    runs = load_runs([run_folders["independent-0"]])
    features = feature_network("pixels", runs.data)
    classifier, said = classifier_for(features, runs.data)
    assert classifier is not None and "have no classes of this data set; probe(digits) tells them" in said
    noises = draw_noises(runs.data.shape, (0.3,), 2, 2, seed=5)
    model = runs.groups[0].models[0]
    found = measure_movement(model, noises, features, classifier, 3, None)
    start = images_from(model, noises.origin, 3).float()
    moved = images_from(model, (noises.origin[1] + 0.3 * noises.perturbation[1]), 3)
    expected = (moved.float() - start[1]).square().flatten(1).mean(dim=1).sqrt().mean()
    assert found.pixels[0, 1] == pytest.approx(float(expected), rel=1e-5)
    lengths = (moved.float() - start[1]).flatten(1).norm(dim=1).mean() / 127.5
    assert found.features[0, 1] == pytest.approx(float(lengths), rel=1e-5)
    classes = predicted_classes(classifier, moved) != predicted_classes(classifier, start[1:].byte())
    assert found.changed is not None and found.changed[0, 1] == pytest.approx(float(classes.float().mean()))


def test_the_finding_compares_seeds_in_pairs(run_folders: dict[str, Path], tmp_path: Path) -> None:
    chosen = [folder for name, folder in run_folders.items() if name != "flow"]
    runs = load_runs(chosen)
    assert [group.name for group in runs.groups] == ["independent", "nearest:4"]  # the baseline first
    finding = stability(runs, feature_network("probe", runs.data), **SMALL)  # type: ignore[arg-type]
    again = stability(runs, feature_network("probe", runs.data), **SMALL)  # type: ignore[arg-type]
    assert again.values == finding.values
    assert set(finding.pictures) == {"", "images-independent", "images-nearest-4"}
    groups = json.loads(write_finding(finding, tmp_path)[0].read_text())["values"]["groups"]
    for group in groups.values():
        assert group["seeds"] == [0, 1] and len(group["pixels"]["mean"]) == 2
        assert group["features"]["mean"][0] < group["features"]["mean"][1]
        assert group["features"]["between_unrelated_images"] > 0
    kept = [groups[name]["largest_kept"] for name in ("independent", "nearest:4")]
    if all(value is not None for one in kept for value in one["per_seed"]):
        mean = np.mean(np.subtract(kept[1]["per_seed"], kept[0]["per_seed"]))
        assert kept[1]["difference"]["mean"] == pytest.approx(mean)
    assert "95 % of images keep their class (probe(digits))" in finding.sentence
    assert "for independent" in finding.sentence and "for nearest:4" in finding.sentence


def test_without_labels_the_rate_is_left_out_with_a_reason(run_folders: dict[str, Path]) -> None:
    runs = load_runs([run_folders["flow"]])
    bare = dataclasses.replace(runs, data=dataclasses.replace(runs.data, labels=None))
    finding = stability(bare, feature_network("pixels", bare.data), **SMALL)  # type: ignore[arg-type]
    assert "changed" not in finding.values["groups"]["independent"]
    assert "digits has no labels, so no image's class can be told" in finding.values["classes_not_told"]
    assert any("digits has no labels" in warning for warning in finding.warnings)
    assert "of the distance between unrelated images (pixels(digits) features)" in finding.sentence
