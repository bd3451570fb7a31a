"""What a policy is trained on: chunks of normalised actions, each with the observations before it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from immiscible_diffusion.policy.demonstrations import (
    Observations,
    load_demonstrations,
    observations,
    windows,
)
from immiscible_diffusion.policy.normalisation import Limits, limits_of


@dataclass(frozen=True, eq=False)
class Chunks:
    """Every window of the demonstrations in memory, at training scale."""

    name: str
    action: Tensor  # float32 [W, horizon, 2], in [−1, 1]
    observation: Tensor  # float32 [W, observation steps, D], in [−1, 1]
    action_limits: Limits
    observation_limits: Limits
    fingerprint: str

    def __len__(self) -> int:
        return len(self.action)


def load_chunks(
    source: str,
    kind: Observations,
    *,
    horizon: int,
    observation_steps: int,
    action_steps: int,
    episodes: int | None = None,
) -> Chunks:
    """Cut demonstrations into windows as published, and scale them by the data's own limits.

    A policy sees the first `observation_steps` of a window; its actions start at the first of them.
    """
    recorded = load_demonstrations(source, episodes)
    seen = observations(recorded, kind)
    rows = torch.from_numpy(windows(recorded.episode_ends, horizon, observation_steps - 1, action_steps - 1))
    action_limits, observation_limits = limits_of(recorded.action), limits_of(seen)
    return Chunks(
        recorded.name,
        action_limits.normalise(recorded.action)[rows],
        observation_limits.normalise(seen)[rows[:, :observation_steps]],
        action_limits,
        observation_limits,
        recorded.fingerprint,
    )
