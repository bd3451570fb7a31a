"""What of an image and its noise a choice looks at: here the image pooled to blocks.

Block means times the block's side are coordinates in an orthonormal basis of the images that are constant on
every block. Gaussian noise is standard Gaussian in them, and independent of the rest, so that choosing by
them is Algorithm 1 in D/f² dimensions, and what they do not see stays as it was drawn.
"""

from torch import Tensor
from torch.nn.functional import avg_pool2d


def check_view(factor: int | None) -> None:
    """Raise for a pooling factor that is not a whole number from 1 up."""
    if factor is None:
        return
    if isinstance(factor, bool) or not isinstance(factor, int):
        raise TypeError(
            f"view must be None or a whole pooling factor, got {factor!r}; e.g. view=2 for blocks of 2×2"
        )
    if factor < 1:
        raise ValueError(
            f"view must be None or a pooling factor from 1 up, got {factor}; e.g. view=2 for blocks of 2×2"
        )


def check_pooled(clean: Tensor, factor: int) -> None:
    """Raise ValueError where `clean` [B, C, ..., H, W] has no whole number of factor × factor blocks."""
    if clean.ndim < 4:
        raise ValueError(
            f"view={factor} pools images [B, C, ..., H, W], got shape {tuple(clean.shape)}; use view=None"
        )
    height, width = clean.shape[-2:]
    if height % factor or width % factor:
        sides = [side for side in range(2, 17) if not height % side and not width % side]
        instead = f"view={sides[0]}" if sides else "view=None"
        raise ValueError(
            f"view={factor} must divide the height and width of the images, got {height}×{width}; "
            f"use {instead}, or crop the images"
        )


def pooled(images: Tensor, factor: int) -> Tensor:
    """Coordinates of [B, ..., H, W] among images constant on blocks of factor × factor, [B, D/factor²]."""
    return avg_pool2d(images.flatten(1, -3), factor).flatten(1) * factor


def spread(rows: Tensor, like: Tensor, factor: int) -> Tensor:
    """The block-constant images that have these coordinates, in the shape of `like` [B, ..., H, W]."""
    *outer, height, width = like.shape
    blocks = (rows / factor).view(*outer, height // factor, 1, width // factor, 1)
    return blocks.expand(*blocks.shape[:-3], factor, blocks.shape[-2], factor).reshape(like.shape)
