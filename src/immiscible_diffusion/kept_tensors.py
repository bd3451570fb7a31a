"""Tensors kept between runs in one checksummed safetensors file, written aside and renamed."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, contiguous_format


def cache_folder() -> Path:
    """Say where things are kept: $XDG_CACHE_HOME/immiscible-diffusion, or ~/.cache/immiscible-diffusion."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "immiscible-diffusion"


def keep_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a file that other processes see whole or not at all. Raises OSError where that is impossible."""
    # Cloned, because safetensors refuses tensors that share memory.
    tensors = {
        name: tensor.detach().clone(memory_format=contiguous_format) for name, tensor in tensors.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    os.close(handle)
    try:
        save_file(tensors, aside, {**metadata, "checksum": checksum(tensors)})
        os.replace(aside, path)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    finally:
        Path(aside).unlink(missing_ok=True)


def kept_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file of `keep_tensors` and what was said of it. Raises ValueError where it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (OSError, SafetensorError) as error:
        raise ValueError(str(error)) from error
    if metadata.get("checksum") != checksum(tensors):
        raise ValueError("its checksum is wrong")
    return tensors, metadata


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """Digest tensors with their names, in hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
