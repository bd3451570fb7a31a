"""The simulator's conventions: poses, observations and coverage as in the recorded demonstrations."""

import math
from pathlib import Path

import numpy as np
import pytest

from immiscible_diffusion.policy.demonstrations import load_demonstrations
from immiscible_diffusion.policy.environment import (
    GOAL,
    coverage_of,
    keypoints,
    make_environment,
    observe,
    published_starts,
    reset_to,
)

pytest.importorskip("gym_pusht")
shapely = pytest.importorskip("shapely")


def tee(pose: np.ndarray) -> "shapely.Geometry":
    """The T from its two boxes, independent of the simulator's bodies."""
    cosine, sine = math.cos(pose[2]), math.sin(pose[2])
    boxes = [shapely.box(-60, 0, 60, 30), shapely.box(-15, 30, 15, 120)]
    return shapely.affinity.affine_transform(
        shapely.union_all(boxes), [cosine, -sine, sine, cosine, pose[0], pose[1]]
    )


def test_a_pose_is_taken_as_given() -> None:
    environment = make_environment()
    for state in ([50, 60, 256, 256, math.pi / 4], [400, 90, 200.5, 300.25, 3.0], [20, 20, 256, 300, 0.0]):
        np.testing.assert_allclose(reset_to(environment, np.array(state)), state, atol=1e-9)


def test_legacy_turns_the_block_about_its_mass_centre() -> None:
    environment = make_environment()
    asked = np.array([50.0, 60.0, 256.0, 256.0, math.pi / 4])
    found = reset_to(environment, asked, legacy=True)
    # (0, 45) stays where angle 0 put it: the origin moves by (0, 45) − R(0, 45).
    np.testing.assert_allclose(
        found[2:4] - 256, [45 * math.sin(math.pi / 4), 45 - 45 * math.cos(math.pi / 4)], atol=1e-9
    )


def test_coverage_is_the_simulators_and_geometrys() -> None:
    environment = make_environment()
    reset_to(environment, np.array([30.0, 30.0, *GOAL]))
    assert coverage_of(environment) == pytest.approx(1.0)
    random = np.random.default_rng(0)
    for _ in range(20):
        pose = GOAL + random.normal(size=3) * [30, 30, 0.5]
        reset_to(environment, np.array([30.0, 30.0, *pose]))
        expected = tee(GOAL).intersection(tee(pose)).area / tee(GOAL).area
        assert coverage_of(environment) == pytest.approx(expected, abs=1e-6)
        info = environment.step(np.array([30.0, 30.0]))[4]
        assert info["coverage"] == pytest.approx(expected, abs=1e-6)


def test_what_is_seen() -> None:
    state = np.array([10.0, 20.0, 256.0, 256.0, math.pi / 2])
    np.testing.assert_array_equal(observe(state, "state"), state)
    seen = observe(state, "keypoint")
    assert seen.shape == (20,) and seen[18:].tolist() == [10, 20]
    upright = keypoints(np.array([10.0, 20.0, 256.0, 256.0, 0.0])) - 256
    turned = seen[:18].reshape(9, 2) - 256
    np.testing.assert_allclose(turned, np.stack([-upright[:, 1], upright[:, 0]], axis=1), atol=1e-9)


def test_the_published_starts() -> None:
    starts = published_starts(3)
    random = np.random.RandomState(100_001)
    wanted = [random.randint(50, 450), random.randint(50, 450), random.randint(100, 400)]
    wanted += [random.randint(100, 400), random.randn() * 2 * np.pi - np.pi]
    assert starts.shape == (3, 5) and starts[1].tolist() == wanted
    with pytest.raises(ValueError, match="start states must be 1 or more, got 0"):
        published_starts(0)


def test_recorded_actions_lead_to_recorded_states(shared_data: Path) -> None:
    recorded = load_demonstrations(str(shared_data / "pusht.npz"))
    environment = make_environment()
    for rows in recorded.episodes[::40]:
        state = reset_to(environment, recorded.state[rows.start])
        for row in range(rows.start, rows.stop):
            # The archive is in float32.
            np.testing.assert_allclose(state[:4], recorded.state[row, :4], atol=1e-3)
            turn = (state[4] - recorded.state[row, 4] + math.pi) % (2 * math.pi) - math.pi
            assert abs(turn) < 1e-4
            state = environment.step(recorded.action[row])[0]


def test_keypoints_are_the_recorded_ones(shared_data: Path) -> None:
    recorded = load_demonstrations(str(shared_data / "pusht.npz"))
    found = np.stack([keypoints(state) for state in recorded.state[::50]])
    apart = np.linalg.norm(found - recorded.keypoint[::50], axis=2)
    assert np.median(apart) < 0.01 and apart.max() < 3
