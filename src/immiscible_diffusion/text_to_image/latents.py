"""Latents encoded once: a cache on disk that goes on where it was stopped, and knows what it is of."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.atomic_files import write_text
from immiscible_diffusion.data.images import BadData
from immiscible_diffusion.kept_tensors import cache_folder, keep_tensors, kept_tensors
from immiscible_diffusion.pairing import told_apart
from immiscible_diffusion.text_to_image.autoencoders import Autoencoder, LatentScale, encode
from immiscible_diffusion.text_to_image.stored_images import StoredImages

logger = logging.getLogger(__name__)

VERSION = 1
PIECE_ROWS = 512  # images of one file: what a kill loses at most
HELD = torch.float16  # in memory and on disk; its rounding, 5e-4, is far below an autoencoder's own error
DESCRIPTION = "latents.json"


@dataclass(frozen=True)
class Transform:
    """What happens to an image before it is encoded.

    flip: the mirror image is encoded too, and each step draws which one is shown. crops: random crops of each
    image instead of its middle; 0, the default, for the middle. Each is encoded once and kept, so every one
    more costs another encoding and as much memory. precision: of the autoencoder's work, "no" or "bf16".
    """

    flip: bool = False
    crops: int = 0
    precision: str = "no"

    @property
    def versions(self) -> list[tuple[int, bool]]:
        """Crop number and whether mirrored, of every version of an image."""
        crops = range(1, self.crops + 1) if self.crops else range(1)
        return [(crop, mirrored) for mirrored in ((False, True) if self.flip else (False,)) for crop in crops]


@dataclass(frozen=True, eq=False)
class Latents:
    """Every usable image's latents, in every version."""

    raw: Tensor  # float16 [V, N, C, h, w], as the autoencoder gives them
    rows: Tensor  # int64 [N], rows of the source
    scale: LatentScale
    fingerprint: str  # of data, autoencoder and transform
    faults: dict[int, str]  # rows left out, and why

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one latent."""
        channels, height, width = self.raw.shape[2:]
        return channels, height, width

    def clean(self, rows: Tensor, versions: Tensor) -> Tensor:
        """Latents at training scale, float32 [B, C, h, w]. rows, versions: int64 [B]."""
        return self.scale.clean(self.raw[versions, rows])

    def mean(self) -> Tensor:
        """The mean latent at training scale over all rows and versions, float32 [C, h, w]."""
        total = torch.zeros(self.shape, dtype=torch.float64)
        for version in self.raw:
            for piece in version.split(4096):
                total += piece.double().sum(dim=0)
        return self.scale.clean((total / (self.raw.shape[0] * len(self))).float()[None])[0]

    def told_apart(self) -> float:
        """The noise level σ below which a latent at training scale is told from all others of its version."""
        return told_apart(self.scale.clean(piece) for piece in self.raw[0].split(4096))


def identity(images: StoredImages, autoencoder: Autoencoder, transform: Transform) -> dict[str, Any]:
    """What a cache is made from: equal ones may share it."""
    return {
        "version": VERSION,
        "data": images.fingerprint,
        "rows": len(images),
        "autoencoder": autoencoder.fingerprint,
        "shape": list(autoencoder.latent_shape(*images.shape[1:])),
        "transform": {
            "image": list(images.shape),
            "flip": transform.flip,
            "crops": transform.crops,
            "precision": transform.precision,
        },
    }


def fingerprint_of(made_from: dict[str, Any]) -> str:
    """Digest of an `identity`."""
    return hashlib.blake2b(json.dumps(made_from, sort_keys=True).encode(), digest_size=16).hexdigest()


def encode_latents(
    images: StoredImages,
    autoencoder: Autoencoder,
    transform: Transform,
    folder: Path | None = None,
    *,
    rank: int = 0,
    processes: int = 1,
) -> Iterator[tuple[int, int]]:
    """Encode what the cache lacks, yielding how many pieces of how many are done; nothing is encoded twice.

    folder: of the cache; None for one in the user's cache folder, named by what it is made from. Process
    `rank` of `processes` encodes every n-th piece. A kill loses the piece at hand.
    Raises ValueError where the folder holds latents of other data, another autoencoder or transform.
    """
    made_from = identity(images, autoencoder, transform)
    place = _place(folder, made_from)
    described = place / DESCRIPTION
    if described.exists():
        _check_same(json.loads(described.read_text(encoding="utf-8")), made_from, place)
    elif rank == 0:
        write_text(described, json.dumps(made_from, indent=2) + "\n")
    pieces = _pieces(images, transform)
    mine = pieces[rank::processes]
    for done, (version, start) in enumerate(mine):
        yield done, len(mine)
        file = _file(place, version, start)
        if not file.exists() or _read(file) is None:
            _encode_piece(images, autoencoder, transform, version, start, file)
    yield len(mine), len(mine)


def load_latents(
    images: StoredImages,
    autoencoder: Autoencoder,
    transform: Transform,
    folder: Path | None = None,
    *,
    bad_data: BadData = "stop",
) -> Latents:
    """Read a cache that `encode_latents` finished.

    bad_data: images that could not be read: "stop" at the first, or "skip" all, with a warning.
    Raises ValueError for a bad image, where none is left, and where the cache is not whole.
    """
    made_from = identity(images, autoencoder, transform)
    place = _place(folder, made_from)
    versions = []
    bad = torch.zeros(len(images), dtype=torch.bool)
    bad[list(images.faults)] = True
    for version in range(len(transform.versions)):
        held = []
        for start in range(0, len(images), PIECE_ROWS):
            piece = _read(_file(place, version, start))
            if piece is None:
                raise ValueError(f"latents in {str(place)!r} are not whole; encode them again")
            held.append(piece["latents"])
            bad[start : start + PIECE_ROWS] |= ~piece["good"]
        versions.append(torch.cat(held))
    raw = torch.stack(versions) if len(versions) > 1 else versions[0][None]
    faults = dict(images.faults)
    for row in bad.nonzero().flatten().tolist():
        if row not in faults:
            faults |= images.decoded([row])[1]
    if faults and bad_data == "stop":
        raise ValueError(
            f"data {images.source!r}: {faults[min(faults)]}; or leave bad rows out with --bad-data skip"
        )
    if faults:
        some = "; ".join(faults[row] for row in sorted(faults)[:3])
        warnings.warn(
            f"data {images.source!r}: {len(faults)} of {len(images)} rows left out: {some}", stacklevel=2
        )
        raw = raw[:, ~bad]
    rows = (~bad).nonzero().flatten()
    if not len(rows):
        raise ValueError(f"data {images.source!r}: none of {len(images)} rows can be used")
    return Latents(raw, rows, _scale(autoencoder, raw), fingerprint_of(made_from), faults)


def _scale(autoencoder: Autoencoder, raw: Tensor) -> LatentScale:
    """The authors' scale where they give one, else what brings these latents to mean 0 and std 1."""
    shape = (autoencoder.channels, 1, 1)
    if autoencoder.scaling is not None:
        return LatentScale(torch.full(shape, autoencoder.shift), torch.full(shape, 1 / autoencoder.scaling))
    count, total, squares = (
        0,
        torch.zeros(shape, dtype=torch.float64),
        torch.zeros(shape, dtype=torch.float64),
    )
    for piece in raw.flatten(0, 1).split(4096):
        values = piece.double()
        total += values.sum(dim=(0, 2, 3))[:, None, None]
        squares += values.square().sum(dim=(0, 2, 3))[:, None, None]
        count += values[:, 0].numel()
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=1e-12).sqrt()
    return LatentScale(mean.float(), std.float())


def _encode_piece(
    images: StoredImages, autoencoder: Autoencoder, transform: Transform, version: int, start: int, file: Path
) -> None:
    crop, mirrored = transform.versions[version]
    rows = list(range(start, min(start + PIECE_ROWS, len(images))))
    pixels, faults = images.decoded(rows, crop)
    if mirrored:
        pixels = pixels.flip(-1)
    dtype = torch.bfloat16 if transform.precision == "bf16" else torch.float32
    latents = encode(autoencoder, pixels, dtype=dtype).to(HELD)
    good = torch.tensor([row not in faults for row in rows])
    if not bool(latents[good].isfinite().all()):
        raise ValueError(
            f"autoencoder {autoencoder.name!r} gives latents that are not finite for rows {rows[0]} to "
            f"{rows[-1]}; encode with precision 'no', or give undamaged weights"
        )
    latents[~good] = 0
    keep_tensors(file, {"latents": latents, "good": good}, {})


def _read(file: Path) -> dict[str, Tensor] | None:
    """Read a piece; None where there is none or it is damaged, which is said."""
    if not file.exists():
        return None
    try:
        return kept_tensors(file)[0]
    except ValueError as error:
        logger.warning("latents kept at %s are damaged (%s); encoding them again", file, error)
        return None


def _check_same(before: dict[str, Any], now: dict[str, Any], place: Path) -> None:
    names = {"data": "data", "rows": "data", "autoencoder": "another autoencoder", "transform": "transform"}
    differing = list(dict.fromkeys(names[name] for name in names if before.get(name) != now[name]))
    if before.get("version") != VERSION:
        differing = ["another version of this program"]
    if differing:
        words = " and ".join("other data" if name == "data" else name for name in differing)
        words = words.replace("transform", "another resolution, flip, crops or precision")
        raise ValueError(
            f"latents in {str(place)!r} were made from {words}; give another --latents folder, "
            "or delete this one"
        )


def _pieces(images: StoredImages, transform: Transform) -> list[tuple[int, int]]:
    starts = range(0, len(images), PIECE_ROWS)
    return [(version, start) for version in range(len(transform.versions)) for start in starts]


def _place(folder: Path | None, made_from: dict[str, Any]) -> Path:
    return folder or cache_folder() / f"latents-{fingerprint_of(made_from)}"


def _file(place: Path, version: int, start: int) -> Path:
    return place / f"version-{version}-rows-{start:09d}.safetensors"
