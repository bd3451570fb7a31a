"""Checkpoints as safetensors and JSON: written aside, checksummed, renamed; loading runs no code."""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

PREFIX = "step-"
FORMAT = 1


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a run needs to go on after `step` completed steps."""

    step: int
    tensors: dict[str, dict[str, Tensor]]  # file name without ending -> tensors by name
    state: dict[str, Any]  # everything else, as JSON


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int = 2) -> Path:
    """Write a checkpoint to `folder/step-N`, then delete all but the newest `keep`.

    A crash leaves either the old set or the new one: files are written in a folder aside, flushed to disk,
    and the folder renamed.
    """
    final = folder / f"{PREFIX}{checkpoint.step:08d}"
    aside = folder / f".writing-{final.name}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    checksums = {}
    for name, tensors in checkpoint.tensors.items():
        file = aside / f"{name}.safetensors"
        save_file({key: value.detach().contiguous() for key, value in tensors.items()}, file)
        _flush(file)
        checksums[name] = _checksum(file)
    state = {"format": FORMAT, "step": checkpoint.step, "checksums": checksums, "state": checkpoint.state}
    (aside / "state.json").write_text(json.dumps(state, indent=1))
    _flush(aside / "state.json")
    shutil.rmtree(final, ignore_errors=True)
    os.replace(aside, final)
    _flush(folder)
    for old in _folders(folder)[:-keep]:
        shutil.rmtree(old)
    return final


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Load the newest checkpoint that is whole, warning of any damaged one passed over; None without any.

    Raises ValueError where there are checkpoints but every one of them is damaged.
    """
    damage = []
    for path in reversed(_folders(folder)):
        try:
            checkpoint = _load(path)
        except Exception as error:
            damage.append(f"{path}: {error}")
            continue
        for text in damage:
            warnings.warn(f"damaged checkpoint passed over: {text}; using {path}", stacklevel=2)
        return checkpoint
    if damage:
        raise ValueError(f"every checkpoint is damaged: {'; '.join(damage)}; start again with another --out")
    return None


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Flatten an optimiser's state to tensors by name: "3.exp_avg"."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` took out; the settings stay the optimiser's own."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _load(path: Path) -> Checkpoint:
    content = json.loads((path / "state.json").read_text())
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']}, this version reads {FORMAT}")
    tensors = {}
    for name, expected in content["checksums"].items():
        file = path / f"{name}.safetensors"
        if _checksum(file) != expected:
            raise ValueError(f"{file.name} does not match its checksum")
        tensors[name] = load_file(file)
    return Checkpoint(content["step"], tensors, content["state"])


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{PREFIX}*") if path.is_dir())


def _checksum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
