"""Divergences and shifts against what is known of Gaussian samples and of the winner."""

import numpy as np
import pytest
import torch

from immiscible_diffusion.analysis.clean_images import CleanImages, load_clean
from immiscible_diffusion.analysis.gaussianity import (
    divergence,
    expected_divergence,
    gaussianity,
    marchenko_pastur,
    noise_moments,
    predicted_shifts,
    shifts,
)
from immiscible_diffusion.analysis.laws import winner_moments
from immiscible_diffusion.pairing import Independent


@pytest.fixture(scope="module")
def digits() -> CleanImages:
    return load_clean("digits")


def test_divergence_of_few_gaussians_has_the_known_mean_and_spread() -> None:
    images = load_clean("gaussian:20", rows=80)
    values = [
        divergence(
            noise_moments(images, Independent(), 80, lambda step, s=s: torch.Generator().manual_seed(s))
        )
        for s in range(400)
    ]
    expected = expected_divergence(80, 20)
    assert expected is not None
    assert np.mean(values) == pytest.approx(expected["mean"], abs=4.5 * expected["standard_deviation"] / 20)
    assert np.std(values) == pytest.approx(expected["standard_deviation"], rel=0.2)


def test_the_papers_figure_is_what_50000_draws_give() -> None:
    expected = expected_divergence(50_000, 3072)
    assert expected is not None
    assert expected["mean"] == pytest.approx(48.25, abs=0.03) and expected["standard_deviation"] < 0.05
    assert expected_divergence(64, 64) is None and marchenko_pastur(64, 64) is None


def test_shifts_of_more_images_than_are_held_at_once() -> None:
    """Images in two halves that point apart: the mean noise is the mean over all of them, row by row."""
    values = torch.zeros(3000, 16)
    values[:1000, 0], values[1000:, 1] = 3.0, 6.0
    images = CleanImages("two", values, None, "none")
    long, longer = (winner_moments(8, "l2", np.array([length]), 16).projection[0] for length in (3.0, 6.0))
    found = predicted_shifts(images, [(8, "l2")], None)[0]["mean_shift"]
    assert found == pytest.approx(np.hypot(long / 3, 2 * longer / 3), rel=1e-5)


def test_shifts_are_predicted_and_warned_of(digits: CleanImages) -> None:
    found = gaussianity(
        digits, ("independent", "nearest:8:uncentred", "nearest:8:dot", "assigned"), (8,), seed=2
    )
    measured = found.values["pairings"]
    predicted = predicted_shifts(digits, [(8, "l2")], None)[0]
    # Over 1,797 noises each shift has a standard error of 1/√1797.
    for name in ("mean_shift", "norm_shift"):
        assert measured["nearest:8:uncentred"][name] == pytest.approx(predicted[name], abs=4.5 / 1797**0.5)
    assert len(found.warnings) == 1 and found.warnings[0].startswith("nearest:8:uncentred shifts noise by 1.")
    assert abs(measured["independent"]["divergence_excess_in_deviations"]) < 4.5
    assert measured["assigned"]["divergence"] == pytest.approx(
        measured["independent"]["divergence"], abs=1e-6
    )
    assert measured["nearest:8:uncentred"]["divergence_excess"] > 0.5
    low, high = found.values["marchenko_pastur_edges"]
    assert low - 0.05 < measured["independent"]["smallest_eigenvalue"]
    assert measured["independent"]["largest_eigenvalue"] < high + 0.05
    assert set(found.pictures) == {"", "spectrum"} and "eigenvalues" not in measured["independent"]


def test_more_dimensions_than_images_leave_the_divergence_out() -> None:
    few = load_clean("digits", rows=50)
    found = gaussianity(few, ("independent", "nearest:4"), (4,), batch=10)
    assert found.values["pairings"]["nearest:4"]["divergence"] is None
    assert "more images than dimensions" in found.values["pairings"]["nearest:4"]["divergence_left_out"]
    assert found.values["divergence_expected"] is None


def test_standard_noise_is_not_shifted() -> None:
    usual = float(
        torch.randn((20_000, 100), generator=torch.Generator().manual_seed(0)).norm(dim=1).double().mean()
    )
    assert shifts(0.0, usual, 100)["shift"] < 0.03
    assert shifts(0.6, usual + 0.8 * 0.5**0.5, 100)["shift"] == pytest.approx(1, abs=0.03)


def test_a_batch_that_does_not_fit_is_refused(digits: CleanImages) -> None:
    with pytest.raises(ValueError, match="batch must be from 2 to the number of images, 1797, got 5000"):
        gaussianity(digits, batch=5000)
