"""Paired noise brought back to the mean and std of N(0, I), which sampling starts from.

Nearest noise is shorter than Gaussian noise, and leans where images do if it is not centred. A network
trained with it has then never seen what sampling begins with.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.pairing.protocol import Pairing


@dataclass(frozen=True, eq=False)
class Rescaled:
    """The noise of another pairing, less `mean`, over `std`: what that pairing's noise has over a data set.

    mean: broadcasts to one image. Raises ValueError for a std that is not greater than 0.
    """

    pairing: Pairing
    mean: Tensor
    std: float

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise ValueError(f"std must be greater than 0, got {self.std}; pass that of the pairing's noise")

    @torch.no_grad()
    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw noise for `clean` [B, ...]; see `Pairing`."""
        noise = self.pairing(clean, generator=generator, condition=condition, mask=mask)
        wide = torch.promote_types(noise.dtype, torch.float32)
        return ((noise.to(wide) - self.mean.to(noise.device, wide)) / self.std).to(noise.dtype)
