"""What an analysis looks at: images at training scale, latents, or Gaussian vectors in their place."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from immiscible_diffusion.data.images import NATURAL_STD, load_images, to_clean
from immiscible_diffusion.randomness import generator_for

GAUSSIAN_ROWS = 10_000


@dataclass(frozen=True, eq=False)
class CleanImages:
    """A data set as training sees it, held as small as it came."""

    name: str
    values: Tensor  # uint8 pixels [N, C, H, W], or float32 [N, ...] that is at training scale already
    image_std: float | None  # None where there is nothing to scale
    fingerprint: str

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return tuple(self.values.shape[1:])

    @property
    def dimension(self) -> int:
        """Numbers in one image."""
        return self.values[0].numel()

    def rows(self, index: Tensor | slice) -> Tensor:
        """Give images at training scale, float32 [n, ...]."""
        chosen = self.values[index]
        return chosen if self.image_std is None else to_clean(chosen, self.image_std)

    def chunks(self, size: int, order: Tensor | None = None) -> Iterator[Tensor]:
        """Yield images at training scale, `size` at a time: all in their order, or those of int64 `order`."""
        for start in range(0, len(self) if order is None else len(order), size):
            part = slice(start, start + size)
            yield self.rows(part if order is None else order[part])

    def mean(self) -> Tensor:
        """The mean image at training scale, float32."""
        total = torch.zeros(self.shape, dtype=torch.float64)
        for chunk in self.chunks(4096):
            total += chunk.double().sum(dim=0)
        return (total / len(self)).float()

    def settings(self) -> dict[str, object]:
        """What identifies the data in a finding."""
        return {
            "data": self.name,
            "images": len(self),
            "shape": list(self.shape),
            "image_std": self.image_std,
            "fingerprint": self.fingerprint,
        }

    def describe(self) -> str:
        """Say in a line what was looked at."""
        scale = "" if self.image_std is None else f" at std {self.image_std:g}"
        return f"{self.name}{scale}, {len(self):,} × {'×'.join(map(str, self.shape))}"


def load_clean(
    source: str,
    *,
    rows: int | None = None,
    resolution: int | None = None,
    image_std: float = NATURAL_STD,
    image_column: str | None = None,
    latents: Path | None = None,
    seed: int = 0,
) -> CleanImages:
    """Load what to analyse.

    source, rows, resolution, image_column: as `load_images` takes them; or "gaussian:4x32x32" for vectors of
        N(0, I), which stand in for latents (10,000 unless `rows` says otherwise, drawn from `seed`).
    image_std: nominal std that images are scaled to; latents and Gaussian vectors are taken as they are.
    latents: a .npy or .safetensors file of shape [N, ...], in place of `source`.
    Raises what `load_images` does, and ValueError for a file or shape that cannot be used.
    """
    if not 0 < image_std < float("inf"):
        raise ValueError(f"image_std must be a positive number, got {image_std}; [-1, 1] is 0.5")
    if rows is not None and rows < 2:
        raise ValueError(f"rows must be 2 or more, got {rows}; leave it out for all rows")
    if latents is not None:
        return _as_given(latents.name, read_latents(latents)[:rows])
    if source.startswith("gaussian"):
        shape = (rows or GAUSSIAN_ROWS, *_shape(source))
        return _as_given(source, torch.randn(shape, generator=generator_for(seed, "samples")))
    data = load_images(source, image_column=image_column, resolution=resolution, rows=rows)
    if len(data.pixels) < 2:
        raise ValueError(f"data {source!r} has a single image; an analysis needs 2 or more")
    return CleanImages(data.name, data.pixels, image_std, data.fingerprint)


def read_latents(file: Path) -> Tensor:
    """Read float32 [N, ...] from a .npy file, or from a .safetensors file's only tensor or "latents"."""
    if not file.is_file():
        raise FileNotFoundError(f"no file of latents {str(file)!r}")
    if file.suffix == ".npy":
        values = torch.from_numpy(np.load(file, allow_pickle=False))
    elif file.suffix == ".safetensors":
        from safetensors.torch import load_file

        tensors = load_file(file)
        if len(tensors) != 1 and "latents" not in tensors:
            raise ValueError(
                f"latents {str(file)!r} has the tensors {', '.join(sorted(tensors)) or 'none'}; "
                "store one, or name the one that counts 'latents'"
            )
        values = tensors["latents"] if "latents" in tensors else next(iter(tensors.values()))
    else:
        raise ValueError(f"latents {str(file)!r} must be a .npy or .safetensors file")
    if values.ndim < 2 or len(values) < 2 or values[0].numel() < 2:
        raise ValueError(
            f"latents {str(file)!r} has shape {tuple(values.shape)}; give [N, ...], 2 or more rows"
        )
    if not values.is_floating_point() or not bool(torch.isfinite(values).all()):
        raise ValueError(
            f"latents {str(file)!r} must be finite floats, got {values.dtype}; repair or convert them"
        )
    return values.float()


def _as_given(name: str, values: Tensor) -> CleanImages:
    digest = hashlib.blake2b(repr(tuple(values.shape)).encode(), digest_size=16)
    digest.update(values.contiguous().numpy().data)
    return CleanImages(name, values, None, digest.hexdigest())


def _shape(source: str) -> tuple[int, ...]:
    found = re.fullmatch(r"gaussian:(\d+(?:x\d+)*)", source)
    shape = tuple(int(side) for side in found[1].split("x")) if found else ()
    if not shape or min(shape) < 1 or torch.Size(shape).numel() < 2:
        raise ValueError(f"data {source!r} names no shape; write it as gaussian:4x32x32")
    return shape
