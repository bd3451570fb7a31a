"""A coupling in the form that TorchCFM's matchers ask for, without its plan's fault: sampling with replacement.

`OTPlanSampler.sample_plan` draws rows of the plan with replacement, so that about a third of a batch's images
are left out and others come twice. Here every image stays, in its row, with its label; noises are permuted.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from immiscible_diffusion.pairing import Assigned, assign


@dataclass(frozen=True)
class PermutedPlan:
    """In place of `ExactOptimalTransportConditionalFlowMatcher.ot_sampler`. assigned: says which solver.

    Arguments have TorchCFM's names: x0 is the noise [B, ...], x1 the images, y0 and y1 what belongs to each.
    """

    assigned: Assigned = Assigned()

    def sample_plan(self, x0: Tensor, x1: Tensor, replace: bool = True) -> tuple[Tensor, Tensor]:  # noqa
        """The noises [B, ...], permuted to lie near the images, and the images as they are."""
        return x0[self._columns(x0, x1)], x1

    def sample_plan_with_labels(
        self, x0: Tensor, x1: Tensor, y0: Any = None, y1: Any = None, replace: bool = True
    ) -> tuple[Tensor, Tensor, Any, Any]:
        """The same; y0 moves with the noises, y1 stays with the images."""
        columns = self._columns(x0, x1)
        return x0[columns], x1, None if y0 is None else y0[columns], y1

    def _columns(self, noise: Tensor, clean: Tensor) -> Tensor:
        return assign(clean, noise, solver=self.assigned.solver, block=self.assigned.block)
