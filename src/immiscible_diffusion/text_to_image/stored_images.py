"""Images that stay where they are stored, decoded a piece at a time: data sets that memory does not hold."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from immiscible_diffusion.data.images import BadData, ImageData, open_rows, short_name
from immiscible_diffusion.data.rows import decode_image, label_rows
from immiscible_diffusion.data.tables import find_labels, image_column_of
from immiscible_diffusion.randomness import generator_for

HASHED_WHOLE = 20_000  # rows up to which every byte is hashed
HASHED = 4096  # rows hashed of more, evenly spaced
CROP_SEED = 0  # cached crops serve the runs of every seed


@dataclass(frozen=True, eq=False)
class StoredImages:
    """A data set's RGB images of one size, in its own order; `faults` says what of a row cannot be used."""

    name: str
    source: str
    encoded: Any  # datasets.Dataset of one column, images not decoded
    resolution: int | None  # side to resize and crop to
    labels: dict[int, int] | None  # by row
    class_names: tuple[str, ...]
    faults: dict[int, str]  # rows whose label is bad; a bad image is found when it is decoded

    def __len__(self) -> int:
        return len(self.encoded)

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """3, height and width: those asked for, or the first image's that can be read."""
        if self.resolution is not None:
            return 3, self.resolution, self.resolution
        for row in range(min(len(self), 64)):
            try:
                height, width = decode_image(self._raw([row])[0], None).shape[:2]
            except Exception:  # named when its turn comes
                continue
            return 3, height, width
        raise ValueError(f"data {self.source!r}: none of the first 64 images can be read; check --data")

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the encoded images and labels: of all rows up to 20,000, else of 4,096 evenly spaced."""
        count = len(self)
        rows = range(count) if count <= HASHED_WHOLE else np.linspace(0, count - 1, HASHED).astype(int)
        digest = hashlib.blake2b(f"{count}/{self.resolution}".encode(), digest_size=16)
        for start in range(0, len(rows), 512):
            for raw in self._raw([int(row) for row in rows[start : start + 512]]):
                digest.update(_bytes(raw))
        if self.labels is not None:
            digest.update(repr([self.labels.get(int(row)) for row in rows]).encode())
        return digest.hexdigest()

    def decoded(self, rows: Sequence[int], crop: int = 0) -> tuple[Tensor, dict[int, str]]:
        """Decode rows to uint8 [n, 3, H, W], black where one is bad, with what is wrong by row.

        crop: 0 for the middle, else the number of one of the random crops, a function of it and the row.
        """
        _, height, width = self.shape
        pixels = np.zeros((len(rows), height, width, 3), np.uint8)
        faults = {}
        for place, (row, raw) in enumerate(zip(rows, self._raw(rows), strict=True)):
            where = f" ({raw['path']})" if isinstance(raw, dict) and raw.get("path") else ""
            try:
                image = decode_image(raw, self.resolution, _corner(row, crop))
            except Exception as error:  # what PIL raises for a broken file depends on how it is broken
                faults[row] = f"the image in row {row}{where} cannot be read: {error or repr(error)}"
                continue
            if image.shape[:2] != (height, width):
                faults[row] = (
                    f"the image in row {row}{where} is {image.shape[1]}×{image.shape[0]}, others are "
                    f"{width}×{height}; give a --resolution to resize and crop to"
                )
                continue
            pixels[place] = image if image.ndim == 3 else image[:, :, None]
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), faults

    def without_pixels(self, rows: Tensor) -> ImageData:
        """What the data says of rows, int64 [N], but the images: `pixels` has their shape and no memory."""
        kept = set(rows.tolist())
        labels = None if self.labels is None else torch.tensor([self.labels[row] for row in rows.tolist()])
        return ImageData(
            self.name,
            torch.zeros((), dtype=torch.uint8).expand(len(rows), *self.shape),
            labels,
            self.class_names,
            self.fingerprint,
            tuple(row for row in range(int(rows[-1]) + 1 if len(rows) else 0) if row not in kept),
        )

    def in_memory(self, rows: Tensor, most: int) -> ImageData:
        """Load up to `most` of the rows, int64 [N], evenly spaced, as bytes."""
        chosen = rows[torch.linspace(0, len(rows) - 1, min(most, len(rows))).round().long()]
        pixels = torch.cat([self.decoded(part.tolist())[0] for part in chosen.split(1024)])
        labels = None if self.labels is None else torch.tensor([self.labels[row] for row in chosen.tolist()])
        key = hashlib.blake2b(f"{self.fingerprint}/{chosen.tolist()}".encode(), digest_size=16).hexdigest()
        return ImageData(self.name, pixels, labels, self.class_names, key)

    def _raw(self, rows: Sequence[int]) -> list[Any]:
        (column,) = self.encoded.column_names
        held: list[Any] = self.encoded[list(rows)][column]
        return held


def open_images(
    source: str,
    *,
    split: str = "train",
    image_column: str | None = None,
    label_column: str | None = None,
    resolution: int | None = None,
    rows: int | None = None,
    bad_data: BadData = "stop",
) -> StoredImages:
    """Open a data set without decoding it; arguments and errors as for `load_images`.

    Grey images become RGB. "digits" are not to be had so: they are smaller than a latent.
    """
    if source == "digits":
        raise ValueError(
            "data 'digits' are 8×8, less than an autoencoder can take; give --data a folder of larger images"
        )
    table, faults, complain = open_rows(source, split, rows, bad_data)
    given, names = find_labels(table, label_column)
    labels, class_names = (None, ()) if given is None else label_rows(given, names, complain)
    encoded = image_column_of(table, image_column)
    return StoredImages(short_name(source), source, encoded, resolution, labels, class_names, faults)


def _corner(row: int, crop: int) -> tuple[float, float]:
    """Where a crop lies in what there is to crop: 0 left or top, 1 right or bottom."""
    if crop == 0:
        return 0.5, 0.5
    drawn = torch.rand(2, generator=generator_for(CROP_SEED, "crop", row, crop)).tolist()
    return drawn[0], drawn[1]


def _bytes(raw: Any) -> bytes:
    if not isinstance(raw, dict):
        return b""
    if raw.get("bytes") is not None:
        return bytes(raw["bytes"])
    path = Path(raw.get("path") or "")
    return path.read_bytes() if path.is_file() else b""
