"""A scripted pusher: what PushT gives to whoever only pushes the block's middle towards the goal's."""

import numpy as np
from numpy.typing import NDArray

from immiscible_diffusion.policy.demonstrations import Floats
from immiscible_diffusion.policy.environment import GOAL, MASS_CENTRE

CLEARANCE = 110.0  # distance from the block's mass centre at which the agent goes round, pixels
STRIDE = 25.0  # pixels that one action leads ahead
ALIGNED = 0.35  # radians off the line through block and goal at which it begins to push


def scripted_pusher(numbers: list[int], histories: list[list[Floats]], decision: int) -> Floats:
    """Act one step for every episode: go round the block until it is between agent and goal, then push.

    A `Controller` (`rollouts.py`). It never turns the block on purpose.
    """
    return np.stack([_towards(history[-1])[None] for history in histories])


def standing_still(numbers: list[int], histories: list[list[Floats]], decision: int) -> Floats:
    """Do nothing for every episode: what the start states are worth by themselves."""
    return np.stack([history[-1][None, :2] for history in histories])


def _towards(state: Floats) -> NDArray[np.float64]:
    agent, block = state[:2], _mass_centre(state[2:])
    wanted = _mass_centre(GOAL) - block
    if np.linalg.norm(wanted) < 2:
        return agent
    behind = np.arctan2(-wanted[1], -wanted[0])
    offset = agent - block
    angle, distance = np.arctan2(offset[1], offset[0]), float(np.linalg.norm(offset))
    off = (behind - angle + np.pi) % (2 * np.pi) - np.pi
    if abs(off) < ALIGNED:
        return np.clip(agent + STRIDE * (block - agent) / max(distance, 1e-6), 20, 490)
    turn = angle + np.sign(off) * min(abs(off), STRIDE / CLEARANCE)
    return np.clip(block + CLEARANCE * np.array([np.cos(turn), np.sin(turn)]), 20, 490)


def _mass_centre(pose: Floats) -> NDArray[np.float64]:
    cosine, sine = np.cos(pose[2]), np.sin(pose[2])
    turned: NDArray[np.float64] = np.array([[cosine, -sine], [sine, cosine]]) @ MASS_CENTRE
    return pose[:2] + turned
