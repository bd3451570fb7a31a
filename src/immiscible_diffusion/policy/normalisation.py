"""The published scale of observations and actions: each dimension's range in the data becomes [−1, 1]."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

# Below this range a dimension carries nothing; it is only shifted (as in Diffusion Policy's normaliser).
FLAT = 1e-4


@dataclass(frozen=True, eq=False)
class Limits:
    """Least and greatest value of every dimension, float64 [D]."""

    low: Tensor
    high: Tensor

    def normalise(self, values: ArrayLike | Tensor) -> Tensor:
        """Scale [..., D] in data units to [−1, 1], float32; values outside the data's range land outside."""
        given = torch.as_tensor(np.asarray(values) if not isinstance(values, Tensor) else values)
        return ((given.double() - self._middle) / self._half).float()

    def restore(self, values: Tensor) -> Tensor:
        """The inverse of `normalise`: back to data units, float64."""
        return values.double() * self._half + self._middle

    @property
    def _half(self) -> Tensor:
        half = (self.high - self.low) / 2
        return torch.where(half * 2 < FLAT, torch.ones_like(half), half)

    @property
    def _middle(self) -> Tensor:
        return (self.high + self.low) / 2


def limits_of(values: ArrayLike) -> Limits:
    """Measure the limits of [N, D]."""
    array = torch.as_tensor(np.asarray(values)).double()
    return Limits(array.amin(dim=0), array.amax(dim=0))
