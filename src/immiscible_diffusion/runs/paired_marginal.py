"""The marginal that a run's pairing leaves of its noise, kept in its folder, for sampling to start from."""

from collections.abc import Callable
from pathlib import Path

import torch

from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.generation import Start
from immiscible_diffusion.kept_tensors import keep_tensors, kept_tensors
from immiscible_diffusion.noise_moments import DRAWN, Marginal, fitted_marginal, paired_rows
from immiscible_diffusion.runs.folder import read_experiment, stored_centre
from immiscible_diffusion.runs.images import pairing_of


def start_of_run(folder: Path, name: str, data: Callable[[], ImageData]) -> Start | None:
    """What sampling from a run starts from: "gaussian", N(0, I), or "marginal"; see `marginal_of_run`."""
    return None if name == "gaussian" else marginal_of_run(folder, data).start


def marginal_of_run(folder: Path, data: Callable[[], ImageData]) -> Marginal:
    """Read a run's marginal from its folder, or measure it on its data and keep it there.

    data: called where it has to be measured. Raises ValueError where the file is damaged.
    """
    file = folder / "marginal.safetensors"
    if file.exists():
        try:
            tensors, _ = kept_tensors(file)
            return Marginal(tensors["mean"], float(tensors["std"]))
        except (KeyError, ValueError) as error:
            raise ValueError(f"{file} is damaged: {error}; delete it to have it measured again") from error
    experiment, images = read_experiment(folder), data()
    pairing = pairing_of(experiment, images, stored_centre(folder, images))
    _, noise = paired_rows(experiment, images, pairing, DRAWN)
    marginal = fitted_marginal(noise)
    keep_tensors(file, {"mean": marginal.mean, "std": torch.tensor(marginal.std, dtype=torch.float64)}, {})
    return marginal
