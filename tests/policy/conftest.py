"""Small demonstrations made in the simulator, so that no test needs the real ones."""

from pathlib import Path

import numpy as np
import pytest

from immiscible_diffusion.policy.environment import keypoints, published_starts
from immiscible_diffusion.policy.rollouts import run_episodes
from immiscible_diffusion.policy.scripted import scripted_pusher


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .npz file of 6 scripted episodes of 40 steps, in the layout of the published archive."""
    pytest.importorskip("gym_pusht")
    episodes = run_episodes(scripted_pusher, published_starts(6), most_steps=40)
    states = np.concatenate([one.states[:-1] for one in episodes])
    file = tmp_path_factory.mktemp("demonstrations") / "scripted.npz"
    np.savez(
        file,
        action=np.concatenate([one.actions for one in episodes]).astype(np.float32),
        state=states.astype(np.float32),
        keypoint=np.stack([keypoints(state) for state in states]).astype(np.float32),
        episode_ends=np.cumsum([len(one.actions) for one in episodes]),
    )
    return file
