"""What every pairing is: one call that answers `torch.randn_like(clean)`."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Pairing(Protocol):
    """Give every clean row the noise it is trained with."""

    def __call__(
        self,
        clean: Tensor,
        *,
        generator: torch.Generator | None = None,
        condition: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Draw the noise of a batch; row i of the result belongs to row i of `clean`.

        clean: [B, ...], at least two dimensions, float16, bfloat16, float32 or float64, any device.
        generator: on the device of `clean`; None uses PyTorch's default one.
        condition: labels or embeddings, for pairings that look at them; never moved.
        mask: bool, shaped like the leading dimensions of `clean` (a size may be 1); elements where it is
            False are padding: they take no part in the choice and still get Gaussian noise.
        Returns a contiguous tensor of the same shape, dtype and device, without gradient.
        """
        ...
