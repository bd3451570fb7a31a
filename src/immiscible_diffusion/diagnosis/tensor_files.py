"""Tensors from files: one batch, or all that a training step made."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

NAMES = ("clean", "noise", "target", "noisy", "mask")
ALSO_CLEAN = ("latents", "images")


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read .pt, .safetensors, .npy or .npz: clean by name, and noise, target, noisy and mask if there.

    A single tensor is the clean images; so is one named latents or images. Files of .pt are read without
    running any code in them. Raises FileNotFoundError, and ValueError for other contents.
    """
    if not file.is_file():
        raise FileNotFoundError(
            f"no file {str(file)!r}; pass tensors saved by torch.save, safetensors or numpy"
        )
    found = _read(file)
    if isinstance(found, Tensor):
        return {"clean": found}
    named = {("clean" if name in ALSO_CLEAN else name): value for name, value in found.items()}
    if len(named) == 1:
        return {"clean": next(iter(named.values()))}
    if "clean" not in named:
        raise ValueError(
            f"{str(file)!r} has the tensors {', '.join(sorted(found)) or 'none'}; name the images 'clean'"
        )
    return {name: value for name, value in named.items() if name in NAMES}


def _read(file: Path) -> Tensor | dict[str, Tensor]:
    if file.suffix == ".npy":
        return torch.from_numpy(np.load(file, allow_pickle=False))
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        tensors: dict[str, Tensor] = load_file(file)
        return tensors
    if file.suffix in (".pt", ".pth"):
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ValueError(f"{str(file)!r} cannot be read as tensors: {error}") from error
        if isinstance(loaded, Tensor):
            return loaded
        if isinstance(loaded, dict) and all(isinstance(value, Tensor) for value in loaded.values()):
            return loaded
        raise ValueError(
            f"{str(file)!r} must hold a tensor or a dict of tensors, got {type(loaded).__name__}"
        )
    raise ValueError(f"{str(file)!r} must end in .pt, .pth, .safetensors, .npy or .npz")
