"""Vanilla training: noise that knows nothing of its image."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.pairing.checks import check_clean, mask_rows


def gaussian_like(clean: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw N(0, I) in the shape, dtype and device of `clean`: `torch.randn_like` with a generator."""
    return torch.randn(clean.shape, dtype=clean.dtype, device=clean.device, generator=generator)


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
        """Draw noise for `clean` [B, ...]; see `Pairing`. Equals `torch.randn_like(clean)`."""
        check_clean(clean, generator)
        mask_rows(mask, clean)
        return gaussian_like(clean, generator)
