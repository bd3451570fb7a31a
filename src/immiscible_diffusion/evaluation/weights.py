"""Read a file of weights without running anything in it, and fit it to a network key by key."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn


def read_weights(path: Path, expected_files: str) -> dict[str, Any]:
    """Read a .safetensors file, or a torch.save file with `weights_only=True` (no code in it can run).

    Returns what the file holds: names to tensors, possibly one level deeper in a training checkpoint.
    `expected_files` names the files that would fit, for the messages.
    Raises ValueError where there is no such file, or where it is not a dictionary of tensors.
    """
    if not path.is_file():
        raise ValueError(f"weights: there is no file {path}; give the path of {expected_files}")
    try:
        held = load_file(path) if path.suffix == ".safetensors" else _read_pickled(path)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"weights: {path} does not load as a file of tensors ({reason}); give {expected_files}"
        ) from error
    if not isinstance(held, Mapping):
        raise ValueError(f"weights: {path} holds a {type(held).__name__}, not tensors; give {expected_files}")
    return dict(held)


def fit_weights(network: nn.Module, held: Mapping[str, Any], path: Path, expected_files: str) -> None:
    """Put the tensors of a file into a network, which may be on the meta device, and freeze it.

    Every floating tensor becomes float32. Batch counters, which old files lack and evaluation ignores, are
    filled in. The network is left in evaluation mode.
    Raises ValueError naming the first missing, unexpected or misshapen key.
    """
    wanted = network.state_dict()
    counters = {
        name: torch.zeros((), dtype=torch.long) for name in wanted if name.endswith("num_batches_tracked")
    }
    given = {**counters, **held}
    remedy = f"give {expected_files}"
    for name, tensor in wanted.items():
        if name not in given:
            raise ValueError(f"weights: {path} lacks {name!r}, the first missing key; {remedy}")
        if not isinstance(given[name], Tensor) or given[name].shape != tensor.shape:
            found = tuple(getattr(given[name], "shape", ()))
            raise ValueError(
                f"weights: {path} has {name!r} of shape {found}, not {tuple(tensor.shape)}; {remedy}"
            )
    for name in given:
        if name not in wanted:
            raise ValueError(f"weights: {path} has {name!r}, the first unexpected key; {remedy}")
    # assign: the network may be on the meta device, whose tensors hold no memory to copy into.
    network.load_state_dict({name: _as_float32(tensor) for name, tensor in given.items()}, assign=True)
    network.requires_grad_(False).eval()


def _read_pickled(path: Path) -> object:
    return torch.load(path, map_location="cpu", weights_only=True)


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
