"""The PushT simulator (gym-pusht): poses as recorded, what a policy sees, how much of the goal is covered.

Conventions, tested against the recorded demonstrations:
- action: where the agent shall go, (x, y) in pixels of a 512×512 field; a PD controller follows it for 0.1 s.
- state: agent x, y, origin of the block x, y, its angle in [0, 2π). The origin is the middle of the bar's
  outer edge; the centre of mass is 45 px down the stem.
- coverage: area of the goal that the block covers, 0 to 1. Score of an episode: the greatest
  clip(coverage / 0.95, 0, 1), as published; success: coverage above 0.95, which ends the episode.
"""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immiscible_diffusion.policy.demonstrations import Floats, Observations

SUCCESS = 0.95
EPISODE_STEPS = 300
FIRST_TEST_SEED = 100_000
GOAL = np.array([256.0, 256.0, np.pi / 4])
# The points that the published archive observes on the block, in its own frame (medians over the archive).
KEYPOINTS = np.array(
    [
        [9.26944, 90.04115],
        [-60.98335, -1.18684],
        [60.91280, -1.39307],
        [-0.27052, 25.54363],
        [-14.06537, 122.81577],
        [39.00264, 32.85752],
        [-39.96639, 32.72957],
        [-16.82453, 62.86325],
        [23.54156, -1.70014],
    ]
)
MASS_CENTRE = np.array([0.0, 45.0])


def make_environment() -> Any:
    """Make one simulator, its state as observation. Raises ImportError where gym-pusht is not installed."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        from gym_pusht.envs import PushTEnv
    except ModuleNotFoundError as error:
        raise ImportError(
            f"PushT needs {error.name}, which is not installed; pip install 'immiscible-diffusion[policy]'"
        ) from error
    return PushTEnv(obs_type="state", render_mode="rgb_array")


def published_starts(count: int, first_seed: int = FIRST_TEST_SEED) -> Floats:
    """The start states of the published evaluation, [count, 5] for `reset_to` with `legacy`.

    Seed s of theirs is the numbers that NumPy's old generator gives for s; 100000, 100001 … are their tests.
    """
    if count < 1:
        raise ValueError(f"start states must be 1 or more, got {count}; 50 is usual")
    starts = []
    for seed in range(first_seed, first_seed + count):
        random = np.random.RandomState(seed)
        agent = (random.randint(50, 450), random.randint(50, 450))
        block = (random.randint(100, 400), random.randint(100, 400))
        starts.append([*agent, *block, random.randn() * 2 * np.pi - np.pi])
    return np.array(starts, np.float64)


def reset_to(environment: Any, state: Floats, *, legacy: bool = False) -> Floats:
    """Put agent and block where `state` [5] says, at rest, and return the state that the simulator then has.

    legacy: the simulator's own convention, also that of the published evaluation: the position is set, then
    the angle, which turns the block about its centre of mass and so moves its origin. Without, the block's
    origin ends where `state` says (as recorded demonstrations need).
    """
    asked = state if legacy else legacy_state(state)
    observed, _ = environment.reset(options={"reset_to_state": np.asarray(asked, np.float64)})
    return np.asarray(observed, np.float64)


def legacy_state(state: Floats) -> Floats:
    """What to ask the simulator for to get `state` [5]: turning about the mass centre undone."""
    return np.concatenate([state[:2], state[2:4] - MASS_CENTRE + _turned(MASS_CENTRE, state[4]), state[4:]])


def observe(state: Floats, kind: Observations) -> Floats:
    """What a policy sees of `state` [5]: itself, or the block's 9 keypoints and the agent [20]."""
    if kind == "state":
        return state
    return np.concatenate([keypoints(state).ravel(), state[:2]])


def keypoints(state: Floats) -> Floats:
    """Where the block's observed points are, [9, 2] pixels."""
    return state[2:4] + _turned(KEYPOINTS, state[4])


def coverage_of(environment: Any) -> float:
    """The share of the goal that the block covers now, 0 to 1, as in the simulator's `info`."""
    return float(environment._get_coverage())


def _turned(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    turned: NDArray[np.float64] = points @ np.array([[cosine, sine], [-sine, cosine]])
    return turned
