"""Are generated images copies of training images?"""

from dataclasses import dataclass

import torch
from torch import Tensor

from immiscible_diffusion.evaluation.features import check_pixels

# Nearest over second nearest: below it an image is a copy (Yoon et al. 2023, "Diffusion Probabilistic Models
# Generalize when They Fail to Memorize").
COPY_RATIO = 1 / 3
_PIECE = 256  # generated images at once


@dataclass(frozen=True)
class Memorisation:
    """How near generated images are to training images, in pixels.

    distance: median root-mean-square difference to the nearest training image, in [0, 1] for black to white.
    training_distance: the same from a training image to the nearest other one. copies: share of generated
    images that are nearer to one training image than a third of the way to any other.
    """

    distance: float
    training_distance: float
    copies: float
    count: int


def memorisation(generated: Tensor, training: Tensor, most: int = 1000) -> Memorisation:
    """Look for each generated image's nearest training images, uint8 [N, C, H, W] both.

    most: generated and training images to look from, the first of each; all training images are looked at.
    Raises ValueError for other shapes and types and for fewer than three training images.
    """
    check_pixels("generated", generated)
    check_pixels("training", training)
    if generated.shape[1:] != training.shape[1:] or len(training) < 3 or len(generated) < 1:
        raise ValueError(
            f"generated and training must be images of one shape, at least 1 and 3 of them, got "
            f"{list(generated.shape)} and {list(training.shape)}"
        )
    images = training.flatten(1).float() / 255
    squares = images.square().sum(1)
    to_training = _nearest(generated[:most].flatten(1).float() / 255, images, squares, 2)
    # The nearest is the image itself.
    among = _nearest(images[:most], images, squares, 2)[:, 1]
    ratio = to_training[:, 0] / to_training[:, 1].clamp(min=1e-12)
    return Memorisation(
        distance=float(to_training[:, 0].median()),
        training_distance=float(among.median()),
        copies=float((ratio < COPY_RATIO).float().mean()),
        count=len(to_training),
    )


def _nearest(rows: Tensor, images: Tensor, squares: Tensor, count: int) -> Tensor:
    """Root-mean-square distances [N, count] to the nearest images, nearest first."""
    found = []
    for piece in rows.split(_PIECE):
        squared = piece.square().sum(1)[:, None] + squares - 2 * piece @ images.T
        chosen = squared.topk(count, largest=False).indices
        # Again from the difference: the expanded square loses what is small.
        apart = (piece[:, None] - images[chosen]).square().mean(-1)
        found.append(apart.sort(1).values.sqrt())
    return torch.cat(found)
