"""Pairing where noise is high, and independent noise below: ours, not the paper's.

Where noise is high, paired noise says which image it will become. Where it is low the image itself says so,
and a network trained on paired noise must tell besides which noise every image was given, which harms at many
evaluations (docs/decisions.md, 2026-11-28).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.pairing.independent import Independent
from immiscible_diffusion.pairing.protocol import Pairing


@dataclass(frozen=True, eq=False)
class Above:
    """A pairing for rows that are trained at a noise level of `level` or more, and no pairing for the others.

    level: σ, what noise is multiplied by over what the image is: √(1−ᾱ)/√ᾱ in diffusion, t/(1−t) in flow
        matching. 1 suits images of std 0.5, [−1, 1].
    Called, it pairs every row; it is `at` that is told the levels. Raises ValueError unless level is greater
    than 0 and finite.
    """

    pairing: Pairing
    level: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.level < math.inf:
            raise ValueError(f"level must be greater than 0 and finite, got {self.level}; 1 is usual")

    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw noise for `clean` [B, ...] as where noise is high; see `Pairing`."""
        return self.pairing(clean, generator=generator, condition=condition, mask=mask)

    def at(self, levels: Tensor) -> Pairing:
        """Return the pairing of a batch whose rows are trained at these levels σ [B], in [0, ∞].

        Raises ValueError for levels that are not a number each, and when called on other rows than as many.
        """
        if levels.ndim != 1 or levels.isnan().any():
            raise ValueError(
                f"levels must be one noise level σ a row, [B], none of them NaN, got {tuple(levels.shape)}; "
                "pass sigmas, or t / (1 - t)"
            )
        return _OfRows(self.pairing, levels >= self.level)


@dataclass(frozen=True, eq=False)
class _OfRows:
    """Paired noise for rows where `high` [B], independent noise for the others."""

    pairing: Pairing
    high: Tensor

    @torch.no_grad()
    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw noise for `clean` [B, ...]; see `Pairing`. The whole batch is paired, whoever keeps it."""
        if len(self.high) != len(clean):
            raise ValueError(
                f"levels must have {len(clean)} rows, one for each of clean's, got {len(self.high)}"
            )
        # Fewer rows to assign would lean less.
        noise = self.pairing(clean, generator=generator, condition=condition, mask=mask)
        high = self.high.to(clean.device).reshape(-1, *(1,) * (clean.ndim - 1))
        return torch.where(high, noise, Independent()(clean, generator=generator))
