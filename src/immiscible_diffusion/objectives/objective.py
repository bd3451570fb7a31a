"""What a network can be trained to learn, as the trainer and the sampler see it."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

# (noisy [B, ...], time as the network expects it [B], condition [B] or None) -> prediction [B, ...]
Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Estimate(NamedTuple):
    """What a network believes a noisy batch was made of."""

    clean: Tensor  # [B, ...]
    noise: Tensor  # [B, ...]


@runtime_checkable
class Objective(Protocol):
    """A way to mix clean with noise, and what the network predicts from the mixture."""

    @property
    def samplers(self) -> tuple[str, ...]:
        """Names of the samplers that apply, the default first."""
        ...

    def draw_times(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw `count` training times [B] on the generator's device."""
        ...

    def times(self, steps: int) -> Tensor:
        """Return [steps + 1] times from pure noise down to clean, for a sampler of `steps` steps."""
        ...

    def diffuse(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """Mix `clean` and `noise` [B, ...] at `time` [B] or scalar."""
        ...

    def estimate(
        self, network: Network, noisy: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Estimate:
        """Split `noisy` [B, ...] at `time` into the clean and the noise that the network sees in it."""
        ...

    def average(self, noisy: Tensor, time: Tensor, first: Estimate, second: Estimate) -> Estimate:
        """Average the slopes of two estimates of a path through `noisy` at `time` (Heun's second order)."""
        ...

    def loss(
        self, network: Network, clean: Tensor, noise: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Tensor:
        """Mean squared error of the prediction per row, [B], float32."""
        ...


def over(value: Tensor, like: Tensor) -> Tensor:
    """Shape a scalar or [B] so that it multiplies `like` [B, ...] row by row, in at least float32."""
    value = value.to(like.device, torch.promote_types(like.dtype, torch.float32))
    return value.reshape(-1, *(1,) * (like.ndim - 1))


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error per row, [B, ...] -> float32 [B]."""
    return (prediction.float() - target.float()).square().flatten(1).mean(dim=1)
