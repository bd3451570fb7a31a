"""The posterior against brute force, against itself, and where information theory knows the answer."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from immiscible_diffusion.analysis.clean_images import CleanImages, load_clean
from immiscible_diffusion.analysis.posterior import (
    Posterior,
    has_law,
    log_densities,
    posterior,
    survival_error,
)
from immiscible_diffusion.pairing import Assigned, Independent, Nearest, Pairing, whitening


@pytest.fixture(scope="module")
def digits() -> CleanImages:
    return load_clean("digits", rows=300)


def found(
    images: CleanImages, pairing: Pairing, ratios: tuple[float, ...] = (0.0,), points: int = 400
) -> Posterior:
    seeds = (torch.Generator().manual_seed(seed) for seed in (1, 2))
    return posterior(images, pairing, ratios, points, *seeds)


def pairings(images: CleanImages) -> dict[str, Pairing]:
    return {
        "independent": Independent(),
        "l2": Nearest(k=8),
        "centred": Nearest(k=64, centre=images.mean()),
        "dot": Nearest(k=8, rule="dot", centre=images.mean()),
    }


@pytest.mark.parametrize("name", ["independent", "l2", "centred", "dot"])
@pytest.mark.parametrize("ratio", [0.0, 0.3])
def test_posteriors_are_those_of_the_law_written_out(name: str, ratio: float, digits: CleanImages) -> None:
    pairing = pairings(digits)[name]
    clean = digits.rows(slice(0, 20))
    noise = pairing(clean, generator=torch.Generator().manual_seed(3))
    points, images = (noise + ratio * clean).flatten(1), clean.flatten(1)
    found = log_densities(pairing, points, np.full((20, 1), ratio), images)
    centre = getattr(pairing, "centre", None)
    toward = (images if centre is None else images - centre.flatten()).double().numpy()[None]
    noises = points.double().numpy()[:, None] - ratio * images.double().numpy()[None]  # [points, images, D]
    expected = -np.square(noises).sum(axis=2) / 2
    length = np.linalg.norm(toward, axis=2)
    if name in ("l2", "centred"):
        survival = scipy.stats.ncx2.logsf(np.square(toward - noises).sum(axis=2), 64, length**2)
        expected += (pairing.k - 1) * survival  # type: ignore[attr-defined]
    if name == "dot":
        expected += 7 * scipy.stats.norm.logcdf((noises * toward).sum(axis=2) / length)
    probabilities = [scipy.special.softmax(density, axis=1) for density in (found, expected)]
    assert np.abs(probabilities[0] - probabilities[1]).max() < 0.01


@pytest.mark.parametrize("name", ["l2", "centred", "dot"])
def test_the_reader_is_as_often_right_as_it_believes(name: str, digits: CleanImages) -> None:
    """−ln p(true image) averages to the entropy only where the law is that of the noise drawn."""
    curve = found(digits, pairings(digits)[name], (0.0, 0.1, 0.4))
    surprise = -np.log(curve.true_probabilities)
    difference = surprise - curve.entropies
    error = difference.std(axis=1) / difference.shape[1] ** 0.5
    assert (np.abs(difference.mean(axis=1)) < 4.5 * error).all()
    assert (np.diff(curve.entropies.mean(axis=1)) < 0).all()


def test_independent_noise_tells_nothing(digits: CleanImages) -> None:
    curve = found(digits, Independent(), (0.0, 0.5, 5.0), points=50)
    assert curve.information == pytest.approx(0, abs=1e-9) and curve.distortion == pytest.approx(0, abs=1e-9)
    assert curve.entropies[0] == pytest.approx(np.log(300)) and curve.entropies[2].max() < 0.01


def test_by_inner_product_on_white_vectors_all_that_is_spent_is_information() -> None:
    """Many white images have a paired noise that is Gaussian again, so nothing goes into distortion."""
    white = load_clean("gaussian:256", rows=4000)
    curve = found(white, Nearest(k=8, rule="dot"), points=200)
    assert curve.information == pytest.approx(curve.choice, abs=0.02)
    by_distance = found(white, Nearest(k=8), points=400)
    assert 0.25 < by_distance.distortion < 0.45


def test_a_data_set_in_pieces_gives_the_same(digits: CleanImages, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found(digits, Nearest(k=8), (0.0, 0.3, 0.6), points=20)
    monkeypatch.setattr("immiscible_diffusion.analysis.posterior.MOST_WEIGHTS", 1)
    monkeypatch.setattr("immiscible_diffusion.analysis.posterior.CHUNK", 7)
    assert np.allclose(
        found(digits, Nearest(k=8), (0.0, 0.3, 0.6), points=20).entropies, whole.entropies, atol=1e-4
    )


def test_the_error_of_the_approximation_is_small_and_said() -> None:
    lengths = np.linspace(10, 50, 9)
    assert survival_error(8, lengths, 3072) < 1e-3 < survival_error(1024, lengths / 8, 64) < 0.2


def test_what_has_no_law_is_refused(digits: CleanImages) -> None:
    for pairing in (Assigned(), Nearest(centre="batch")):
        with pytest.raises(ValueError, match="depends on the whole batch"):
            found(digits, pairing)
    with pytest.raises(ValueError, match="ratios must begin with 0"):
        found(digits, Independent(), (0.5,))


def test_noise_that_is_not_chosen_on_the_image_itself_has_no_law(digits: CleanImages) -> None:
    whole = digits.rows(slice(0, len(digits)))
    for pairing in (
        Assigned(),
        Nearest(k=8, centre="batch"),
        Nearest(k=8, view=2),
        Nearest(k=8, whitening=whitening(whole)),
    ):
        assert not has_law(pairing)
        with pytest.raises(ValueError, match="has no posterior: its noise depends"):
            found(digits, pairing)
