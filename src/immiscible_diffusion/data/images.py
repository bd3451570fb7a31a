"""Images in memory: loading, the order they are trained in, and the scale they are trained at."""

import hashlib
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from immiscible_diffusion.data.rows import Complain, decode_rows, label_rows, stack_images
from immiscible_diffusion.data.tables import encoded_images, find_labels, open_table
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.randomness import generator_for

BadData = Literal["stop", "skip"]
NATURAL_STD = 0.5  # the nominal std of images scaled to [−1, 1]


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set of images held in memory as bytes."""

    name: str
    pixels: Tensor  # uint8 [N, C, H, W]
    labels: Tensor | None  # int64 [N]
    class_names: tuple[str, ...]
    fingerprint: str  # changes when any pixel or label does
    skipped_rows: tuple[int, ...] = ()  # rows of the source that were bad and left out

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
    bad_data: BadData = "stop",
) -> ImageData:
    """Load a data set as bytes.

    source: "digits" (scikit-learn's 8×8 scans, nothing downloaded), "cifar10", "fashion-mnist", any hub name
        ("owner/name"), or a local parquet file, folder of parquet files, or folder of images (sub-folders
        name the classes).
    split: which part; digits have one only. image_column, label_column: found by type where not given.
    resolution: side in pixels to resize and centre-crop to; needed where images differ in size.
    rows: keep the first so many.
    bad_data: what to do about images that cannot be read, have transparent parts, or differ in size, and
        labels that are missing or out of range: "stop" at the first, or "skip" all, with a warning. Where
        images differ in size, the commonest size is kept. Grey images among colour ones become RGB, with a
        warning.
    Raises FileNotFoundError for a source that is neither a path nor a known or hub name, ValueError for
    columns that are missing, bad rows (naming the row, and the file where it is one), and where none is left.
    """
    if source == "digits":
        check_rows(rows, bad_data)
        return _digits(rows)
    table, bad, complain = open_rows(source, split, rows, bad_data)
    images = decode_rows(encoded_images(table, image_column), resolution, complain)
    given, names = find_labels(table, label_column)
    labels, class_names = ({}, ()) if given is None else label_rows(given, names, complain)
    kept = [row for row in range(len(table)) if row not in bad]
    if not kept:
        raise ValueError(
            f"data {source!r}: none of {len(table)} rows can be used; {next(iter(bad.values()))}"
        )
    if bad:
        some = "; ".join(list(bad.values())[:3])
        warnings.warn(f"data {source!r}: {len(bad)} of {len(table)} rows left out: {some}", stacklevel=2)
    return _image_data(
        short_name(source),
        stack_images([images[row] for row in kept], kept, source),
        None if given is None else torch.tensor([labels[row] for row in kept], dtype=torch.int64),
        class_names,
        tuple(sorted(bad)),
    )


def open_rows(
    source: str, split: str, rows: int | None, bad_data: BadData
) -> tuple[Any, dict[int, str], Complain]:
    """Open a data set's table; bad rows, empty as yet; and what notes one there, or raises with "stop".

    Arguments and errors as for `load_images`.
    """
    check_rows(rows, bad_data)
    table = open_table(source, split)
    if rows is not None:
        table = table.select(range(min(rows, len(table))))
    if len(table) == 0:
        raise ValueError(f"data {source!r} has no rows in split {split!r}")
    bad: dict[int, str] = {}

    def complain(row: int, fault: str) -> None:
        if bad_data == "stop":
            raise ValueError(f"data {source!r}: {fault}; or leave bad rows out with --bad-data skip")
        bad.setdefault(row, fault)

    return table, bad, complain


def check_rows(rows: int | None, bad_data: BadData) -> None:
    """Raise ValueError for a number of rows or a policy for bad ones that there is not."""
    if bad_data not in get_args(BadData):
        raise ValueError(unknown("bad_data", bad_data, get_args(BadData)))
    if rows is not None and rows < 1:
        raise ValueError(f"rows must be 1 or more, got {rows}; leave it out for all rows")


def source_rows(data: ImageData, rows: Tensor) -> list[int]:
    """Turn row numbers of loaded data, int64 [B], into those of its source, where bad ones were left out."""
    skipped = set(data.skipped_rows)
    kept = [row for row in range(len(data.pixels) + len(skipped)) if row not in skipped] if skipped else None
    return [row if kept is None else kept[row] for row in rows.tolist()]


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


def _image_data(
    name: str,
    pixels: Tensor,
    labels: Tensor | None,
    class_names: tuple[str, ...],
    skipped_rows: tuple[int, ...] = (),
) -> ImageData:
    digest = hashlib.blake2b(repr(tuple(pixels.shape)).encode(), digest_size=16)
    digest.update(pixels.contiguous().numpy().data)
    if labels is not None:
        digest.update(labels.contiguous().numpy().data)
    return ImageData(name, pixels, labels, class_names, digest.hexdigest(), skipped_rows)


def _digits(rows: int | None) -> ImageData:
    from sklearn.datasets import load_digits

    bundle = load_digits()
    pixels = torch.from_numpy(np.round(bundle.images[:rows] * (255 / 16)).astype(np.uint8))[:, None]
    labels = torch.from_numpy(bundle.target[:rows].astype(np.int64))
    return _image_data("digits", pixels, labels, tuple(str(name) for name in bundle.target_names))


def short_name(source: str) -> str:
    """What a data set is called: its folder's or file's folder's name, or its name on the hub."""
    path = Path(source).expanduser()
    if path.exists():
        return path.resolve().parent.name if path.is_file() else path.resolve().name
    return source
