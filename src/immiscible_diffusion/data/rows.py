"""Encoded images and labels, row by row, as bytes and numbers; a bad row is named."""

import io
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Pixels = NDArray[np.uint8]  # [H, W] where grey, else [H, W, 3]
Complain = Callable[[int, str], None]  # a row, and what is wrong with it


def decode_rows(encoded: Iterable[Any], resolution: int | None, complain: Complain) -> dict[int, Pixels]:
    """Decode images, by row. Bad ones, and those that differ in size from most, are complained of, left out.

    encoded: {"bytes": ..., "path": ...} each, as `datasets` gives them.
    resolution: side to resize and crop to.
    """
    images: dict[int, Pixels] = {}
    places: dict[int, str] = {}
    for row, raw in enumerate(encoded):
        path = raw.get("path") if isinstance(raw, dict) else None
        places[row] = f" ({path})" if path else ""
        try:
            images[row] = decode_image(raw, resolution)
        except Exception as error:  # what PIL raises for a broken file depends on how it is broken
            complain(row, f"the image in row {row}{places[row]} cannot be read: {error or repr(error)}")
    if not images:
        return images
    sizes = Counter(image.shape[:2] for image in images.values())
    height, width = sizes.most_common(1)[0][0]
    usual = next(row for row, image in images.items() if image.shape[:2] == (height, width))
    for row, image in list(images.items()):
        if image.shape[:2] != (height, width):
            complain(
                row,
                f"the image in row {row}{places[row]} is {image.shape[1]}×{image.shape[0]} but row {usual} "
                f"is {width}×{height}; give a resolution to resize and crop to",
            )
            del images[row]
    return images


def stack_images(images: Sequence[Pixels], rows: Sequence[int], source: str) -> Tensor:
    """Join images of one size to uint8 [N, C, H, W]: grey where every image is grey, else RGB.

    Warns where grey images among colour ones become RGB. rows: their numbers, for the warning.
    """
    grey = [row for row, image in zip(rows, images, strict=True) if image.ndim == 2]
    if len(grey) == len(images):
        return torch.from_numpy(np.stack(images))[:, None]
    if grey:
        warnings.warn(
            f"data {source!r}: {len(grey)} of {len(images)} images are grey, the others colour; these become "
            f"RGB (row {grey[0]} is the first)",
            stacklevel=3,
        )
    colour = [image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2) for image in images]
    return torch.from_numpy(np.stack(colour)).permute(0, 3, 1, 2).contiguous()


def label_rows(
    labels: Sequence[Any], class_names: tuple[str, ...] | None, complain: Complain
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Check labels, by row, and name the classes by number where they have no names.

    Missing labels and those out of range are complained of and left out.
    """
    good: dict[int, int] = {}
    for row, label in enumerate(labels):
        if not isinstance(label, int) or isinstance(label, bool):
            complain(row, f"the label in row {row} is {label!r}; labels are whole numbers from 0 up")
        elif label < 0 or (class_names is not None and label >= len(class_names)):
            span = (
                "0 up" if class_names is None else f"0 to {len(class_names) - 1} ({len(class_names)} classes)"
            )
            complain(row, f"the label in row {row} is {label}; labels are whole numbers from {span}")
        else:
            good[row] = label
    if class_names is None:
        class_names = tuple(str(number) for number in range(max(good.values(), default=-1) + 1))
    return good, class_names


def decode_image(raw: Any, resolution: int | None, corner: tuple[float, float] = (0.5, 0.5)) -> Pixels:
    """Decode one image, {"bytes": ..., "path": ...}, resized and cropped to `resolution` where given.

    corner: where the crop lies in what there is to crop, from 0 (left, top) to 1. Raises what PIL raises.
    """
    if raw is None or (raw["bytes"] is None and not raw["path"]):
        raise ValueError("there is none")
    with Image.open(io.BytesIO(raw["bytes"]) if raw["bytes"] is not None else raw["path"]) as opened:
        image = _plain(opened)
    return np.asarray(image if resolution is None else _fit(image, resolution, corner))


def _plain(image: Image.Image) -> Image.Image:
    """Turn an image of any mode into L or RGB, refusing where that would lose or invent something."""
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise ValueError("it has transparent parts, whose colour is not known; lay it on a background")
    if image.mode.startswith("I;16"):  # convert("L") would clip it, not scale it
        return Image.fromarray((np.asarray(image).astype(np.uint32) * 255 // 65535).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"its values (mode {image.mode}) have no known range; save it with 8 or 16 bits")
    return image.convert("L" if image.mode in ("L", "1", "LA", "La") else "RGB")


def _fit(image: Image.Image, resolution: int, corner: tuple[float, float]) -> Image.Image:
    """Resize the shorter side to `resolution` and crop at `corner`, by default the middle."""
    scale = resolution / min(image.size)
    width, height = (max(resolution, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    left, top = int((width - resolution) * corner[0]), int((height - resolution) * corner[1])
    return image.crop((left, top, left + resolution, top + resolution))
