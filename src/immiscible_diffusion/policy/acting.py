"""A trained policy: observations in pixels to actions in pixels, from fresh Gaussian noise."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from immiscible_diffusion.policy.experiment import PolicyExperiment
from immiscible_diffusion.policy.normalisation import Limits
from immiscible_diffusion.sampling import sample

CLIP = 1.0  # clean estimates stay in the range of the demonstrations, as published


@dataclass(frozen=True, eq=False)
class Policy:
    """A network with the scale of what it sees and does."""

    experiment: PolicyExperiment
    network: nn.Module
    action_limits: Limits
    observation_limits: Limits

    @torch.no_grad()
    def act(self, seen: Tensor, noise: Tensor, evaluations: int) -> Tensor:
        """Choose the next actions, float64 [B, action steps, 2] in pixels.

        seen: the last observations [B, observation steps, D] in pixels and radians, the newest last.
        noise: N(0, I), [B, horizon, 2], always independent of what is seen. evaluations: sampler steps.
        """
        condition = self.observation_limits.normalise(seen)
        chunk = sample(
            self.experiment.objective, self.network, noise, evaluations, condition=condition, clip=CLIP
        )
        # A chunk starts at the oldest observation; what is to be done starts at the newest.
        first = self.experiment.observation_steps - 1
        return self.action_limits.restore(chunk[:, first : first + self.experiment.action_steps])
