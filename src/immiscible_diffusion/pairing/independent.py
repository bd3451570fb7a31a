"""Vanilla training: noise that knows nothing of its image."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.pairing.checks import check_clean, mask_rows


def gaussian_like(clean: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw N(0, I) in the shape and device of `clean`, never in less than float32.

    Half-precision noise is this one rounded: moved by less than its rounding, it would not move at all.
    """
    precise = torch.promote_types(clean.dtype, torch.float32)
    return torch.randn(clean.shape, dtype=precise, device=clean.device, generator=generator)


@dataclass(frozen=True)
class Independent:
    """Give every row an independent Gaussian noise, as ordinary ("miscible") training does."""

    @torch.no_grad()
    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw noise for `clean` [B, ...]; see `Pairing`. `torch.randn_like` in at least float32, rounded."""
        check_clean(clean, generator)
        mask_rows(mask, clean)
        return gaussian_like(clean, generator).to(clean.dtype)
