"""Pairing where noise is high, and independent noise below: ours, not the paper's.

Where noise is high, paired noise says which image it will become. Where it is low the image itself says so,
and a network trained on paired noise must tell besides which noise every image was given, which harms at many
evaluations (docs/decisions.md, 2026-11-28).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.pairing.independent import Independent
from immiscible_diffusion.pairing.protocol import Pairing

ROWS_AT_ONCE = 1024  # of images, measured in float64


@dataclass(frozen=True, eq=False)
class Above:
    """A pairing for rows that are trained at a noise level of `level` or more, and no pairing for the others.

    level: σ, what noise is multiplied by over what the image is: √(1−ᾱ)/√ᾱ in diffusion, t/(1−t) in flow
        matching. `told_apart` measures one that suits images.
    Called, it pairs every row; it is `at` that is told the levels. Raises ValueError unless level is greater
    than 0 and finite.
    """

    pairing: Pairing
    level: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.level < math.inf:
            raise ValueError(f"level must be greater than 0 and finite, got {self.level}; see told_apart")

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


def told_apart(images: Tensor | Iterable[Tensor]) -> float:
    """Measure the noise level σ below which an image is told from all others of a set in spite of its noise.

    images: [N, ...], at training scale, or in parts. Half the way to another of them is met by noise of
    N(0, σ²) along it; of N such draws the largest is some σ √(2 ln N), which reaches half of their distance d
    (root mean square) at σ = d / √(8 ln N). 0.8 on digits, 2.5 on Fashion-MNIST, 4.1 on CIFAR-10.
    Raises ValueError for fewer than two images, or images that are all alike.
    """
    count, total, squares = 0, torch.zeros(()), 0.0
    for part in images.split(ROWS_AT_ONCE) if isinstance(images, Tensor) else images:
        rows = part.flatten(1).double()
        count, total, squares = (
            count + len(rows),
            total + rows.sum(dim=0),
            squares + float(rows.square().sum()),
        )
    if count < 2:
        raise ValueError(f"images must be 2 or more to be told apart, got {count}")
    spread = squares / count - float((total / count).square().sum())
    if not spread > 1e-12 * squares:  # what rounding leaves
        raise ValueError("images must differ to be told apart; all of them are alike")
    return math.sqrt(2 * spread / (8 * math.log(count)))


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
        if self.high.device.type == "cpu" and bool(self.high.all()):
            return noise  # at batch 1, half of the draws; on a GPU to ask would be to wait
        high = self.high.to(clean.device).reshape(-1, *(1,) * (clean.ndim - 1))
        return torch.where(high, noise, Independent()(clean, generator=generator))
