"""The whole of miscibility on a few digits."""

import numpy as np
import pytest

from immiscible_diffusion.analysis.clean_images import CleanImages, load_clean
from immiscible_diffusion.analysis.miscibility import Effort, half_known, miscibility
from immiscible_diffusion.analysis.posterior import Posterior

SMALL = Effort(points=200, clusters=4, batch=16, samples=20, times=8, shown=2, shown_points=20)


@pytest.fixture(scope="module")
def digits() -> CleanImages:
    return load_clean("digits", rows=200)


def test_pairings_rank_as_they_should(digits: CleanImages) -> None:
    found = miscibility(digits, ("independent", "nearest:16:dot", "assigned"), SMALL, seed=1)
    independent, nearest, assigned = found.values["pairings"].values()
    assert abs(independent["information"]) < 1e-9 and nearest["information"] > 1
    assert assigned["posterior"] is None and "depends on the whole batch" in assigned["posterior_left_out"]
    apart = [values["cluster_distance_without_sampling"] for values in (independent, nearest, assigned)]
    assert apart[0] < 0.5 < apart[1] and apart[2] > 1
    assert independent["cluster_distance"] == pytest.approx((2 * 64 / 200) ** 0.5, rel=0.2)
    assert independent["half_known_at_flow_time"] < nearest["half_known_at_flow_time"]
    assert set(found.pictures) == {"", "clusters", "tsne"} and "nearest:16:dot" in found.sentence
    assert nearest["posterior"][0]["flow_time"] == 1


def test_half_known_is_between_the_times_around_it() -> None:
    entropies = np.array([[4.0, 4.0], [3.0, 3.0], [1.0, 1.0]])
    curve = Posterior((0.0, 1.0, 3.0), entropies, entropies, 0.0, round(np.exp(4)))
    assert half_known(curve) == pytest.approx(1 / (1 + 2.0), abs=0.01)
    assert half_known(Posterior((0.0,), entropies[:1], entropies[:1], 0.0, 55)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clusters": 150}, "clusters must be at most half of the images, 100, got 150"),
        ({"samples": 1}, "samples must be 2 or more, got 1"),
        ({"shown": 9}, "shown must be at most clusters"),
    ],
)
def test_bad_effort_is_named(change: dict, message: str, digits: CleanImages) -> None:
    with pytest.raises(ValueError, match=message):
        miscibility(digits, ("independent",), Effort(**{**vars(SMALL), **change}))
