"""Sheets of images as PNG."""

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from immiscible_diffusion.atomic_files import written_aside


def image_sheet(pixels: Tensor, columns: int | None = None, least_side: int = 32) -> Image.Image:
    """Lay images out in rows on white; small ones are enlarged by whole factors to `least_side` pixels.

    pixels: uint8 [N, 1 or 3, H, W]. columns: a square sheet where not given.
    Raises ValueError without images.
    """
    if pixels.ndim != 4 or len(pixels) == 0:
        raise ValueError(f"pixels must be [N, C, H, W] with N of 1 or more, got shape {tuple(pixels.shape)}")
    factor = max(1, math.ceil(least_side / pixels.shape[-1]))
    images = pixels.cpu().repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    columns = min(len(images), columns or math.ceil(math.sqrt(len(images))))
    count = math.ceil(len(images) / columns)
    height, width = images.shape[2] + 2, images.shape[3] + 2
    sheet = torch.full((count * height - 2, columns * width - 2, 3), 255, dtype=torch.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + height - 2, left : left + width - 2] = image.permute(1, 2, 0)
    return Image.fromarray(np.asarray(sheet))


def save_sheet(pixels: Tensor, path: Path, columns: int | None = None, least_side: int = 32) -> Path:
    """Write a sheet as PNG, whole or not at all, making the folder where there is none."""
    with written_aside(path, durable=False) as aside:
        image_sheet(pixels, columns, least_side).save(aside)
    return path
