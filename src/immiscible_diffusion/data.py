"""Images in memory: loading, the order they are trained in, and the scale they are trained at."""

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.randomness import generator_for

HUB_NAMES = {"cifar10": "uoft-cs/cifar10", "fashion-mnist": "zalando-datasets/fashion_mnist"}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
NATURAL_STD = 0.5  # the nominal std of images scaled to [−1, 1]


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set of images held in memory as bytes."""

    name: str
    pixels: Tensor  # uint8 [N, C, H, W]
    labels: Tensor | None  # int64 [N]
    class_names: tuple[str, ...]
    fingerprint: str  # changes when any pixel or label does

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width


def load_images(
    source: str,
    *,
    split: str = "train",
    image_column: str | None = None,
    label_column: str | None = None,
    resolution: int | None = None,
    rows: int | None = None,
) -> ImageData:
    """Load a data set as bytes.

    source: "digits" (scikit-learn's 8×8 scans, nothing downloaded), "cifar10", "fashion-mnist", any hub name
        ("owner/name"), or a local parquet file, folder of parquet files, or folder of images (sub-folders
        name the classes).
    split: which part; digits have one only. image_column, label_column: found by type where not given.
    resolution: side in pixels to resize and centre-crop to; needed where images differ in size.
    rows: keep the first so many.
    Raises FileNotFoundError for a source that is neither a path nor a known or hub name, ValueError for
    columns that are missing, images that cannot be read (naming the row) or that differ in size.
    """
    if rows is not None and rows < 1:
        raise ValueError(f"rows must be 1 or more, got {rows}; leave it out for all rows")
    if source == "digits":
        return _digits(rows)
    table = _open(source, split)
    if rows is not None:
        table = table.select(range(min(rows, len(table))))
    if len(table) == 0:
        raise ValueError(f"data {source!r} has no rows in split {split!r}")
    image_column = _column(table, image_column, "image_column", "Image")
    pixels = _decode(_raw_images(table, image_column), source, resolution)
    labels, class_names = _labels(table, label_column)
    return _image_data(_short_name(source), pixels, labels, class_names)


def to_clean(pixels: Tensor, image_std: float = NATURAL_STD) -> Tensor:
    """Scale bytes to training images: [−1, 1] × image_std / 0.5, float32 (image scaling, paper §3.3.3)."""
    return (pixels.float() / 127.5 - 1) * (image_std / NATURAL_STD)


def to_pixels(clean: Tensor, image_std: float = NATURAL_STD) -> Tensor:
    """Turn training images back into bytes; the inverse of `to_clean` for the same `image_std`."""
    scaled = (clean.float() * (NATURAL_STD / image_std) + 1) * 127.5
    return scaled.round().clamp(0, 255).to(torch.uint8)


def mean_image(data: ImageData, image_std: float = NATURAL_STD, flip: bool = False) -> Tensor:
    """Average a data set at training scale, float32 [C, H, W]; with `flip`, as mirrored training sees it."""
    mean = sum(chunk.double().sum(dim=0) for chunk in data.pixels.split(4096)) / len(data.pixels)
    assert isinstance(mean, Tensor)
    if flip:
        mean = (mean + mean.flip(-1)) / 2
    return to_clean(mean, image_std)


def batch_rows(count: int, batch_size: int, step: int, seed: int) -> Tensor:
    """Row numbers of training step `step` (from 0), int64 [batch_size]: epochs of random order, end to end.

    A function of its arguments alone, so that a resumed run goes on in the same order.
    """
    start = step * batch_size
    pieces = []
    while start < (step + 1) * batch_size:
        epoch, offset = divmod(start, count)
        pieces.append(_epoch_order(count, epoch, seed)[offset : offset + (step + 1) * batch_size - start])
        start += len(pieces[-1])
    return torch.cat(pieces)


@lru_cache(maxsize=2)
def _epoch_order(count: int, epoch: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=generator_for(seed, "order", epoch))


def _image_data(name: str, pixels: Tensor, labels: Tensor | None, class_names: tuple[str, ...]) -> ImageData:
    digest = hashlib.blake2b(repr(tuple(pixels.shape)).encode(), digest_size=16)
    digest.update(pixels.contiguous().numpy().data)
    if labels is not None:
        digest.update(labels.contiguous().numpy().data)
    return ImageData(name, pixels, labels, class_names, digest.hexdigest())


def _digits(rows: int | None) -> ImageData:
    from sklearn.datasets import load_digits

    bundle = load_digits()
    pixels = torch.from_numpy(np.round(bundle.images[:rows] * (255 / 16)).astype(np.uint8))[:, None]
    labels = torch.from_numpy(bundle.target[:rows].astype(np.int64))
    return _image_data("digits", pixels, labels, tuple(str(name) for name in bundle.target_names))


def _open(source: str, split: str) -> Any:
    """Open a local or hub data set as a `datasets.Dataset`."""
    import datasets

    datasets.disable_progress_bars()
    path = Path(source).expanduser()
    if path.is_file():
        return datasets.load_dataset("parquet", data_files={split: str(path)}, split=split)
    if path.is_dir():
        files = sorted(path.glob(f"{split}*.parquet")) or sorted(path.glob(f"data/{split}*.parquet"))
        if files:
            return datasets.load_dataset("parquet", data_files={split: [str(f) for f in files]}, split=split)
        if others := sorted(path.rglob("*.parquet")):
            raise FileNotFoundError(
                f"folder {source!r} has no parquet file of split {split!r}; it holds "
                f"{', '.join(other.name for other in others[:4])}; name one of these files or another split"
            )
        if not any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.rglob("*")):
            raise FileNotFoundError(f"folder {source!r} holds neither parquet files nor images")
        return datasets.load_dataset("imagefolder", data_dir=str(path), split="train")
    hub_name = HUB_NAMES.get(source, source)
    if "/" not in hub_name or path.is_absolute() or source.startswith("."):
        raise FileNotFoundError(
            f"{unknown('data', source, ['digits', *HUB_NAMES])}, a hub name such as 'owner/name', "
            "or the path of an existing parquet file or folder"
        )
    try:
        return datasets.load_dataset(hub_name, split=split)
    except Exception as error:
        raise FileNotFoundError(
            f"data {source!r} could not be loaded from the hub ({type(error).__name__}: {error}); "
            "check the name and the network, or give the path of a local copy with --data"
        ) from error


def _column(table: Any, name: str | None, argument: str, kind: str) -> str:
    """Find a column by its name, or the first of a feature type."""
    if name is not None:
        if name not in table.column_names:
            raise ValueError(f"{argument}: {unknown('column', name, table.column_names)}")
        return name
    for column, feature in table.features.items():
        if type(feature).__name__ == kind:
            return str(column)
    raise ValueError(
        f"no column of type {kind} was found; name one with {argument}, "
        f"out of {', '.join(table.column_names)}"
    )


def _raw_images(table: Any, column: str) -> Iterable[Any]:
    """Iterate encoded images, decoding nothing yet, so that a bad one can be named."""
    import datasets

    for row in table.cast_column(column, datasets.Image(decode=False)).select_columns([column]):
        yield row[column]


def _decode(encoded: Iterable[Any], source: str, resolution: int | None) -> Tensor:
    """Decode to uint8 [N, C, H, W]: grey where every image is grey, else RGB."""
    images = []
    for number, raw in enumerate(encoded):
        try:
            with Image.open(io.BytesIO(raw["bytes"]) if raw["bytes"] is not None else raw["path"]) as opened:
                image = opened.convert("L" if opened.mode in ("L", "1", "I;16") else "RGB")
                images.append(np.asarray(image if resolution is None else _fit(image, resolution)))
        except (UnidentifiedImageError, OSError, TypeError) as error:
            where = raw.get("path") if isinstance(raw, dict) else None
            raise ValueError(
                f"data {source!r}: the image in row {number}{f' ({where})' if where else ''} "
                f"cannot be read: {error}"
            ) from error
        if images[-1].shape[:2] != images[0].shape[:2]:
            raise ValueError(
                f"data {source!r}: row {number} is {images[-1].shape[1]}×{images[-1].shape[0]} but row 0 is "
                f"{images[0].shape[1]}×{images[0].shape[0]}; give a resolution to resize and crop to"
            )
    if any(image.ndim == 3 for image in images):
        images = [image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2) for image in images]
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    return torch.from_numpy(np.stack(images))[:, None]


def _fit(image: Image.Image, resolution: int) -> Image.Image:
    """Resize the shorter side to `resolution` and crop the middle."""
    scale = resolution / min(image.size)
    width, height = (max(resolution, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    left, top = (width - resolution) // 2, (height - resolution) // 2
    return image.crop((left, top, left + resolution, top + resolution))


def _labels(table: Any, name: str | None) -> tuple[Tensor | None, tuple[str, ...]]:
    """Read class labels: the named column, else the first of type ClassLabel, else an integer `label`."""
    if name is None:
        classes = [column for column, f in table.features.items() if type(f).__name__ == "ClassLabel"]
        whole = "label" in table.column_names and "int" in str(getattr(table.features["label"], "dtype", ""))
        if not classes and not whole:
            return None, ()
        name = classes[0] if classes else "label"
    name = _column(table, name, "label_column", "ClassLabel")
    labels = torch.tensor(table[name][:], dtype=torch.int64)
    if int(labels.min()) < 0:
        raise ValueError(f"label_column {name!r} has the label {int(labels.min())}; labels count from 0")
    names = getattr(table.features[name], "names", None)
    return labels, tuple(names or (str(number) for number in range(int(labels.max()) + 1)))


def _short_name(source: str) -> str:
    path = Path(source).expanduser()
    if path.exists():
        return path.resolve().parent.name if path.is_file() else path.resolve().name
    return source
