"""What a network can be trained to learn, as the trainer and the sampler see it."""

from collections.abc import Callable
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

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

    # Network evaluations an image that are worth measuring at, fewest first, and the one to judge by.
    evaluations: ClassVar[tuple[int, ...]]
    judged_at: ClassVar[int]
    # Whether a step's times depend on how long training is to be; such a run cannot be given more steps.
    depends_on_length: ClassVar[bool]

    @property
    def samplers(self) -> tuple[str, ...]:
        """Names of the samplers that apply, the default first."""
        ...

    def draw_times(self, count: int, generator: torch.Generator, progress: float = 0.0) -> Tensor:
        """Draw training times for `loss`, [count] or [count, ...], on the generator's device.

        progress: share of all steps that are done, from 0 up to but not 1.
        """
        ...

    def times(self, steps: int) -> Tensor:
        """Return [steps + 1] times from pure noise down to clean, for a sampler of `steps` steps."""
        ...

    def start(self, noise: Tensor) -> Tensor:
        """Scale noise N(0, I) to what sampling starts from."""
        ...

    def diffuse(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """Mix `clean` and `noise` [B, ...] at `time` [B] or scalar."""
        ...

    def estimate(
        self, network: Network, noisy: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Estimate:
        """Split `noisy` [B, ...] at `time` into the clean and the noise that the network sees in it."""
        ...

    def loss(
        self, network: Network, clean: Tensor, noise: Tensor, time: Tensor, condition: Tensor | None = None
    ) -> Tensor:
        """What training lowers, per row, [B], float32. time: as `draw_times` gives it."""
        ...


@runtime_checkable
class PathObjective(Objective, Protocol):
    """An objective whose estimates are slopes of a path from noise to clean, which a solver can follow."""

    def slope(self, estimate: Estimate, time: Tensor) -> Tensor:
        """Return the path's direction at `time`; d noisy / d time where times are continuous."""
        ...

    def split(self, noisy: Tensor, time: Tensor, slope: Tensor) -> Estimate:
        """Split `noisy` at `time` by a slope: the inverse of `slope`."""
        ...


def over(value: Tensor, like: Tensor) -> Tensor:
    """Shape a scalar or [B] so that it multiplies `like` [B, ...] row by row, in at least float32."""
    value = value.to(like.device, torch.promote_types(like.dtype, torch.float32))
    return value.reshape(-1, *(1,) * (like.ndim - 1))


def mixing_scales(objective: Objective, time: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """What `diffuse` multiplies clean and noise by at `time`, shaped to multiply `like`."""
    one = torch.ones((1,) * like.ndim, dtype=like.dtype, device=like.device)
    return objective.diffuse(one, 0 * one, time), objective.diffuse(0 * one, one, time)


def noise_levels(objective: Objective, time: Tensor) -> Tensor:
    """σ of every row at `time` [B] or [B, ...]: `diffuse`'s scale of noise over that of clean, float32 [B].

    Of several times a row the first counts. Pure noise is at inf.
    """
    first = time.reshape(len(time), -1)[:, 0]
    clean, noise = mixing_scales(objective, first, torch.ones(len(time), 1, device=time.device))
    return (noise / clean).expand(len(time), 1).flatten()


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error per row, [B, ...] -> float32 [B]."""
    return (prediction.float() - target.float()).square().flatten(1).mean(dim=1)
