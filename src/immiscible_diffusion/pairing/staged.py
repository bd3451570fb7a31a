"""Pairing in a part of training only: unpaired noise before or after it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.pairing.independent import Independent
from immiscible_diffusion.pairing.protocol import Pairing


@dataclass(frozen=True, eq=False)
class Staged:
    """A pairing from the share `begin` to the share `end` of training, and independent noise elsewhere.

    Called, it pairs; it is `in_force` that says when. Raises ValueError unless 0 ≤ begin < end ≤ 1.
    """

    pairing: Pairing
    begin: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.begin < self.end <= 1:
            raise ValueError(
                f"begin and end must be rising shares of 0 to 1, got {self.begin} and {self.end}"
            )

    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw noise for `clean` [B, ...] as within the stage; see `Pairing`."""
        return self.pairing(clean, generator=generator, condition=condition, mask=mask)


def in_force(pairing: Pairing, progress: float) -> Pairing:
    """The pairing that holds at a share of training, from 0 up to but not 1."""
    if not isinstance(pairing, Staged):
        return pairing
    return pairing.pairing if pairing.begin <= progress < pairing.end else Independent()
