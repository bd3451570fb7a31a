"""Episodes in the simulator, their scores, ways round the block, and pictures."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.policy.acting import Policy
from immiscible_diffusion.policy.demonstrations import Floats, load_demonstrations
from immiscible_diffusion.policy.environment import GOAL, published_starts
from immiscible_diffusion.policy.experiment import PolicyExperiment
from immiscible_diffusion.policy.modes import entropy_bits, mode_entropy, mode_of, swept_angle
from immiscible_diffusion.policy.normalisation import Limits
from immiscible_diffusion.policy.rollouts import Episode, policy_controller, run_episodes
from immiscible_diffusion.policy.scripted import scripted_pusher, standing_still
from immiscible_diffusion.policy.videos import contact_sheet, save_gif

pytest.importorskip("gym_pusht")


class Echo(nn.Module):
    """Takes all it is given for noise, and writes down what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None
        self.seen.append(condition.clone())
        return noisy


class Silent(nn.Module):
    """Sees no noise in anything."""

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.zeros_like(noisy)


def echo() -> tuple[Policy, Echo]:
    objective = Diffusion(schedule="cosine", training_steps=100)
    experiment = PolicyExperiment("test", "none", "mlp", objective, observations="state")
    network = Echo()
    pixels = Limits(torch.zeros(2).double(), torch.full((2,), 512.0).double())
    states = Limits(torch.zeros(5).double(), torch.full((5,), 512.0).double())
    return Policy(experiment, network, pixels, states), network


def episode(coverages: list[float], frames: int = 0) -> Episode:
    steps = len(coverages) - 1
    pictures = np.full((steps + 1, frames, frames, 3), 7, np.uint8) if frames else None
    return Episode(
        np.zeros((steps + 1, 5)),
        np.zeros((steps, 2)),
        np.array(coverages),
        np.zeros(steps, bool),
        pictures,
    )


def test_the_score_is_the_published_one() -> None:
    # The start is no achievement: only what follows an action counts.
    assert episode([0.9, 0.1, 0.475, 0.2]).score == pytest.approx(0.5)
    assert episode([0.0, 0.951]).score == 1 and episode([0.0, 0.951]).success
    assert episode([0.0, 0.95]).score == 1 and not episode([0.0, 0.95]).success
    assert episode([0.5]).score == 0


def test_standing_still_changes_nothing_and_ends_in_time() -> None:
    starts = published_starts(3)
    episodes = run_episodes(standing_still, starts, most_steps=7)
    for one in episodes:
        assert one.states.shape == (8, 5) and one.actions.shape == (7, 2) and one.coverages.shape == (8,)
        np.testing.assert_allclose(one.states[-1], one.states[0], atol=1e-6)


def test_an_episode_ends_with_success() -> None:
    at_goal = np.array([[30.0, 30.0, *GOAL]])
    assert len(run_episodes(standing_still, at_goal, legacy=False)[0].actions) == 0
    going_on = run_episodes(standing_still, at_goal, legacy=False, most_steps=3, stop_at_success=False)[0]
    assert len(going_on.actions) == 3 and going_on.score == 1


def test_a_recording_replayed_scores_what_its_states_say(recorded: Path) -> None:
    whole = load_demonstrations(str(recorded))
    rows = whole.episodes[0]

    def replay(numbers: list[int], histories: list[list[Floats]], decision: int) -> Floats:
        return whole.action[None, rows]

    done = run_episodes(replay, whole.state[None, rows.start], legacy=False, most_steps=40)[0]
    np.testing.assert_allclose(done.states[:-1, :4], whole.state[rows, :4], atol=1e-2)


def test_the_script_beats_standing_still() -> None:
    starts = published_starts(8)
    scores = [
        np.mean([one.score for one in run_episodes(controller, starts, most_steps=150)])
        for controller in (standing_still, scripted_pusher)
    ]
    assert scores[1] > scores[0] + 0.1


def test_a_policy_sees_the_last_two_states_and_does_eight_actions() -> None:
    policy, network = echo()
    start = published_starts(1)
    done = run_episodes(policy_controller(policy, 1, 0, [0]), start, most_steps=20)[0]
    shown = [policy.observation_limits.restore(seen)[0].numpy() for seen in network.seen]
    assert len(shown) == 3  # 8, 8 and 4 actions
    np.testing.assert_allclose(shown[0], done.states[[0, 0]], atol=1e-3)  # the first one repeated
    np.testing.assert_allclose(shown[1], done.states[[7, 8]], atol=1e-3)
    np.testing.assert_allclose(shown[2], done.states[[15, 16]], atol=1e-3)


def test_actions_begin_at_the_newest_observation() -> None:
    policy = dataclasses.replace(echo()[0], network=Silent())
    noise = torch.randn(2, 16, 2)
    chosen = policy.act(torch.zeros(2, 2, 5), noise, 1)
    # It sees no noise: what it takes for clean is far out of range, and clamped as published.
    torch.testing.assert_close(policy.action_limits.normalise(chosen), noise[:, 1:9].sign())


def test_noise_belongs_to_the_episode_however_groups_are_cut() -> None:
    policy, _ = echo()
    starts = published_starts(3)
    together = run_episodes(policy_controller(policy, 2, 5, [0, 1, 2]), starts, most_steps=10)
    apart = run_episodes(policy_controller(policy, 2, 5, [2]), starts[2:], most_steps=10)
    np.testing.assert_allclose(together[2].actions, apart[0].actions, atol=1e-9)
    other = run_episodes(policy_controller(policy, 2, 6, [2]), starts[2:], most_steps=10)
    assert not np.allclose(other[0].actions, apart[0].actions)
    assert not np.allclose(together[2].actions, together[1].actions)


def circling(angle: float, steps: int = 40, centre: tuple[float, float] = (250.0, 205.0)) -> np.ndarray:
    """An agent that goes round a block at angle 0, whose mass centre is 45 px below its origin."""
    turn = np.linspace(0, angle, steps)
    states = np.zeros((steps, 5))
    states[:, 0] = centre[0] + 120 * np.cos(turn + 2)
    states[:, 1] = centre[1] + 45 + 120 * np.sin(turn + 2)
    states[:, 2:4] = centre
    return states


@given(st.floats(-12, 12))
def test_the_swept_angle_of_a_circle(angle: float) -> None:
    assert swept_angle(circling(angle)) == pytest.approx(angle, abs=1e-6)


def test_modes_of_synthetic_episodes() -> None:
    untouched = [False] * 39
    assert mode_of(circling(2.0), untouched) == "counter-clockwise"
    assert mode_of(circling(-2.0), untouched) == "clockwise"
    assert mode_of(circling(0.5), untouched) == "direct"
    # What comes after the first touch does not count.
    touched = [step == 3 for step in range(39)]
    assert mode_of(circling(2.0), touched) == "direct"
    # Nor does where on the circle it starts: a turned block turns its mass centre with it.
    turned = circling(-2.0, centre=(250.0, 205.0))
    turned[:, 4] = math.pi
    turned[:, 3] += 90
    assert mode_of(turned, untouched) == "clockwise"


def test_mode_entropy() -> None:
    assert entropy_bits(["clockwise"] * 4) == 0
    assert entropy_bits(["clockwise", "counter-clockwise"]) == pytest.approx(1)
    assert entropy_bits(["clockwise", "direct", "counter-clockwise"]) == pytest.approx(math.log2(3))

    def going(angle: float) -> Episode:
        return dataclasses.replace(episode([0.0] * 40), states=circling(angle))

    # One start with two ways, one with a single one: averaged over starts, not over episodes.
    assert mode_entropy([[going(2), going(-2)], [going(2), going(2)]]) == pytest.approx(0.5)


def test_pictures(tmp_path: Path) -> None:
    done = run_episodes(standing_still, published_starts(1), most_steps=3, frame_side=96)[0]
    with Image.open(save_gif(done, tmp_path / "a" / "one.gif")) as film:
        assert film.size == (96, 96) and film.info["duration"] == 100
    sheet = contact_sheet({"independent": episode([0.1] * 4, 32), "nearest:2": done}, side=40, columns=5)
    assert sheet.size == (5 * 42, 2 * 58)
    with pytest.raises(ValueError, match="frame_side must be 96 pixels or more, got 48"):
        run_episodes(standing_still, published_starts(1), frame_side=48)
    with pytest.raises(ValueError, match="the episode has no frames; run it with frame_side"):
        save_gif(episode([0.1, 0.2]), tmp_path / "none.gif")
    with pytest.raises(ValueError, match="a sheet needs one episode or more, all with frames"):
        contact_sheet({"a": episode([0.1, 0.2])})
