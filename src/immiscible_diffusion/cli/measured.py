"""What `immiscible evaluate` needs of a run, whatever it trained."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from immiscible_diffusion.data.images import ImageData


@dataclass(frozen=True, eq=False)
class Measured:
    """A trained network whose images are to be measured."""

    experiment: Any
    step: int
    network: "nn.Module"  # whose evaluations are counted
    images: "ImageData"  # the real ones
    # (reference, steps, count, sampler, tolerance, report) -> images by number of steps
    score: Callable[..., "dict[int | None, Tensor]"]
    settings: dict[str, float]  # of sampling, that belong to the result
    prompts: Callable[[int], list[str]] | None = None  # of so many images, where they have any
