"""Checkpoints as safetensors and JSON: written aside, checksummed, renamed; loading runs no code."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from immiscible_diffusion.atomic_files import remove, remove_remnants, write_text, written_aside
from immiscible_diffusion.pairing.suggestions import unknown

PREFIX = "step-"
FORMAT = 1
BEST = "best"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a run needs to go on after `step` completed steps."""

    step: int
    tensors: dict[str, dict[str, Tensor]]  # file name without ending -> tensors by name
    state: dict[str, Any]  # everything else, as JSON


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int = 2) -> Path:
    """Write a checkpoint to `folder/step-N`, then delete older ones but the newest `keep` and the best.

    A crash leaves either the old set or the new one. Raises OSError where it cannot be written, the old set
    intact.
    """
    remove_remnants(folder)
    final = _place(folder, checkpoint.step)
    try:
        with written_aside(final) as aside:
            aside.mkdir()
            checksums = {}
            for name, tensors in checkpoint.tensors.items():
                file = aside / f"{name}.safetensors"
                save_file({key: value.detach().contiguous() for key, value in tensors.items()}, file)
                checksums[name] = _checksum(file)
            state = {
                "format": FORMAT,
                "step": checkpoint.step,
                "checksums": checksums,
                "state": checkpoint.state,
            }
            (aside / "state.json").write_text(json.dumps(state, indent=1))
    except SafetensorError as error:  # its way of saying that the disk is full
        raise OSError(str(error)) from error
    prune(folder, checkpoint.step, keep)
    return final


def prune(folder: Path, step: int, keep: int) -> None:
    """Delete the checkpoints up to `step` but the newest `keep` and the best."""
    # Later ones are there only where they were damaged and the run went back; it replaces them in time.
    done = [path for path in _folders(folder) if _step(path) <= step]
    best = best_step(folder)
    for old in done[:-keep]:
        if _step(old) != best:
            remove(old)


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


def checkpoint_steps(folder: Path) -> list[int]:
    """The steps that `folder` holds a checkpoint of, rising; empty where it holds none."""
    return [_step(path) for path in _folders(folder)]


def chosen_checkpoint(folder: Path, choice: str) -> Checkpoint | None:
    """Load the checkpoint that `choice` names: "newest" (None without any), "best", or a step's number.

    Raises FileNotFoundError where there is no such checkpoint, ValueError where it is damaged or `choice` is
    none of these.
    """
    if choice == "newest":
        return newest_checkpoint(folder)
    steps = checkpoint_steps(folder)
    if choice == BEST:
        step = best_step(folder)
        if step is None:
            raise FileNotFoundError(
                f"checkpoint 'best': none is marked in {folder}; train with --evaluate-every to have one, "
                "or choose newest"
            )
    elif choice.isdecimal():
        step = int(choice)
    else:
        raise ValueError(unknown("checkpoint", choice, ["newest", BEST, *map(str, steps)]))
    if step not in steps:
        raise FileNotFoundError(
            f"checkpoint {choice!r}: {folder} has none of step {step}; it has "
            f"{', '.join(map(str, steps)) or 'none'}"
        )
    try:
        return _load(_place(folder, step))
    except Exception as error:
        raise ValueError(
            f"checkpoint {choice!r} is damaged: {_place(folder, step)}: {error}; "
            "choose newest or another step"
        ) from error


def mark_best(folder: Path, step: int | None) -> None:
    """Mark the checkpoint that is kept whatever else is deleted; None takes the mark away."""
    if step is None:
        (folder / BEST).unlink(missing_ok=True)
    elif step != best_step(folder):
        write_text(folder / BEST, f"{_place(folder, step).name}\n")


def best_step(folder: Path) -> int | None:
    """Read which step is marked best; None where none is."""
    mark = folder / BEST
    name = mark.read_text().strip() if mark.exists() else ""
    return int(name.removeprefix(PREFIX)) if name.removeprefix(PREFIX).isdecimal() else None


def has_checkpoint(folder: Path, step: int) -> bool:
    """Say whether a checkpoint of this step is there, damaged or not."""
    return _place(folder, step).is_dir()


def learned(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes: of a network with an adapter, the adapter's."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def without_frozen(network: nn.Module) -> dict[str, Tensor]:
    """A network's state without the parameters that training does not change; where none is, all of it."""
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in network.state_dict().items() if name not in frozen}


def trained_checkpoint(run: Path, choice: str) -> Checkpoint:
    """Load the checkpoint of a run's folder that `choice` names; see `chosen_checkpoint`.

    Raises FileNotFoundError where there is none yet.
    """
    held = chosen_checkpoint(run / "checkpoints", choice)
    if held is None:
        raise FileNotFoundError(f"run {str(run)!r} has no checkpoint yet; train it further with --resume")
    return held


def with_averages(network: nn.Module, held: Checkpoint) -> nn.Module:
    """Put a checkpoint's averaged weights into a network, which then only evaluates; see `load_weights`."""
    load_weights(network, {**held.tensors["network"], **held.tensors["averaged"]}, held.step)
    return network.eval().requires_grad_(False)


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], step: int) -> None:
    """Put a checkpoint's weights into a network, whose names and shapes must be the same but for frozen ones.

    Raises ValueError naming the first parameter that differs, both shapes and the remedy.
    """
    wanted = {name: list(value.shape) for name, value in without_frozen(network).items()}
    given = {name: list(value.shape) for name, value in weights.items()}
    for name in (*wanted, *given):
        if wanted.get(name) != given.get(name):
            raise ValueError(
                f"checkpoint of step {step} does not fit the network that config.json and data.json "
                f"describe: parameter {name!r} should be {wanted.get(name, 'absent')}, "
                f"is {given.get(name, 'absent')}; put these files back as the run wrote them, "
                "or choose another --out"
            )
    network.load_state_dict(dict(weights), strict=False)


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Flatten an optimiser's state to tensors by name: "3.exp_avg"; whole numbers become int64 scalars."""
    flat: dict[str, Tensor] = {}
    seen = set()
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            # bitsandbytes hides what is of 8 bits one level down, from FSDP, and takes it flat, too.
            held = value if isinstance(value, dict) else {name: value}
            for inner, one in held.items():
                tensor = torch.as_tensor(one)
                shared = tensor.data_ptr() in seen  # as its maps are, which safetensors refuses
                flat[f"{index}.{inner}"] = tensor.clone() if shared else tensor
                seen.add(tensor.data_ptr())
    return flat


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` took out; the settings stay the optimiser's own."""
    state: dict[int, dict[str, Tensor | int]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        whole = value.ndim == 0 and value.dtype == torch.int64
        state.setdefault(int(index), {})[name] = int(value) if whole else value
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
    found = [path for path in folder.glob(f"{PREFIX}*") if path.is_dir()]
    return sorted(path for path in found if path.name.removeprefix(PREFIX).isdecimal())


def _place(folder: Path, step: int) -> Path:
    return folder / f"{PREFIX}{step:08d}"


def _step(path: Path) -> int:
    return int(path.name.removeprefix(PREFIX))


def _checksum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
