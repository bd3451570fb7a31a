"""A coupling in the form that TorchCFM's matchers ask for, without the fault of their plan.

`OTPlanSampler.sample_plan` draws rows of the plan with replacement, so that more than a third of a batch's
images are left out and others come twice. Here every image stays, in its row, with its label; noise moves.
"""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from immiscible_diffusion.pairing import Assigned, assign


@dataclass(frozen=True)
class PermutedPlan:
    """In place of `ExactOptimalTransportConditionalFlowMatcher.ot_sampler`. assigned: says which solver.

    TorchCFM calls it by position: the noise [B, ...] comes first, then the images, then what belongs to each.
    """

    assigned: Assigned = field(default_factory=Assigned)

    def sample_plan(self, noise: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        """The noises [B, ...], permuted to lie near the images, and the images as they are."""
        return noise[self._columns(noise, clean)], clean

    def sample_plan_with_labels(
        self, noise: Tensor, clean: Tensor, noise_labels: Any = None, labels: Any = None
    ) -> tuple[Tensor, Tensor, Any, Any]:
        """The same; noise_labels move with the noises, labels stay with the images."""
        columns = self._columns(noise, clean)
        return noise[columns], clean, None if noise_labels is None else noise_labels[columns], labels

    def _columns(self, noise: Tensor, clean: Tensor) -> Tensor:
        return assign(clean, noise, solver=self.assigned.solver, block=self.assigned.block)
