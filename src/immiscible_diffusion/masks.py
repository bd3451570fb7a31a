"""Which part of an image is to be painted: a hole, bool [H, W], True where pixels are missing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError
from torch import Tensor

Task = Literal["inpaint", "outpaint"]
THRESHOLD = 128  # of a mask image's grey: this bright and brighter is the marked part


def box_mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> Tensor:
    """Mark a box. size: height, width. box: top, left, bottom, right in pixels, the last two exclusive.

    Raises ValueError for a box that is empty or reaches outside the image.
    """
    (height, width), (top, left, bottom, right) = size, box
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise ValueError(
            f"box must be TOP LEFT BOTTOM RIGHT inside the image of {height}×{width} (height×width), got "
            f"{' '.join(map(str, box))}"
        )
    mask = torch.zeros(size, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


def centre_mask(size: tuple[int, int], share: float) -> Tensor:
    """Mark the middle. share: of height and of width, in (0, 1); 0.5 marks a quarter of the area.

    Raises ValueError for a share out of range, or so small or large that nothing or everything is marked.
    """
    if not 0 < share < 1:
        raise ValueError(f"centre must be a share of the side between 0 and 1, got {share}; 0.5 is usual")
    high, wide = (round(side * share) for side in size)
    if 0 in (high, wide) or (high, wide) == size:
        raise ValueError(
            f"centre {share} of an image of {size[0]}×{size[1]} is {high}×{wide} pixels; use a share between"
        )
    top, left = (size[0] - high) // 2, (size[1] - wide) // 2
    return box_mask(size, (top, left, top + high, left + wide))


def image_mask(size: tuple[int, int], path: Path) -> Tensor:
    """Mark what is white in an image file, resized (nearest pixel) to height, width `size`.

    Raises ValueError for a file that is no image, or one that marks nothing or everything.
    """
    try:
        with Image.open(path) as opened:
            grey = opened.convert("L").resize((size[1], size[0]), Image.Resampling.NEAREST)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"mask {str(path)!r} cannot be read as an image: {error}") from error
    mask = _marked(grey, THRESHOLD)
    if bool(mask.all()) or not bool(mask.any()):
        raise ValueError(
            f"mask {str(path)!r} is all {'white' if bool(mask.all()) else 'black'} at {size[0]}×{size[1]}; "
            "paint the marked part white and the rest black"
        )
    return mask


def painted_mask(size: tuple[int, int], layers: Sequence[Image.Image]) -> Tensor:
    """Mark what a brush has painted on transparent layers, shrunk to height, width `size`.

    A pixel is marked where a quarter of it is covered. Raises ValueError where nothing or everything is.
    """
    mask = torch.zeros(size, dtype=torch.bool)
    for layer in layers:
        alpha = layer.convert("RGBA").getchannel("A").resize((size[1], size[0]), Image.Resampling.BOX)
        mask |= _marked(alpha, THRESHOLD // 2)
    if bool(mask.all()) or not bool(mask.any()):
        raise ValueError(
            f"{'everything' if bool(mask.all()) else 'nothing'} is painted; brush over a part of the image"
        )
    return mask


def marked_hole(
    size: tuple[int, int],
    task: Task,
    centre: float | None = None,
    box: tuple[int, int, int, int] | None = None,
    mask: Path | None = None,
) -> Tensor:
    """Return the hole, bool [H, W]: what is marked for "inpaint", everything else for "outpaint".

    centre, box, mask: as the functions above take them; one at most, the middle half where none is given.
    Raises ValueError as they do, for more than one, and where nothing is left to paint.
    """
    if sum(option is not None for option in (centre, box, mask)) > 1:
        raise ValueError("--centre, --box and --mask each say what is marked; give one of them")
    if box is not None:
        marked = box_mask(size, box)
    elif mask is not None:
        marked = image_mask(size, mask)
    else:
        marked = centre_mask(size, 0.5 if centre is None else centre)
    hole = marked if task == "inpaint" else ~marked
    if not bool(hole.any()):
        part = "nothing" if task == "inpaint" else "the whole image"
        raise ValueError(f"{part} is marked, so nothing is left to {task}; mark another part")
    return hole


def coarser_hole(hole: Tensor, factor: int) -> Tensor:
    """Say which blocks of factor × factor pixels miss any: the hole among latents, bool [H/factor, W/factor].

    Raises ValueError where sides do not divide, or a hole with something around it leaves no whole block.
    """
    if factor == 1:
        return hole
    if hole.shape[0] % factor or hole.shape[1] % factor:
        raise ValueError(f"images of {hole.shape[0]}×{hole.shape[1]} do not divide into blocks of {factor}")
    coarse = F.max_pool2d(hole[None, None].float(), factor)[0, 0].bool()
    if bool(coarse.all()) and not bool(hole.all()):
        raise ValueError(
            f"no block of {factor}×{factor} pixels is wholly known, which is what a latent stands for; leave "
            "a larger part as it is"
        )
    return coarse


def _marked(grey: Image.Image, threshold: int) -> Tensor:
    return torch.tensor(list(grey.tobytes()), dtype=torch.uint8).view(grey.height, grey.width) >= threshold
