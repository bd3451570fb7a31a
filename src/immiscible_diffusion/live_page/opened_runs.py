"""What was found, loaded once: networks, the images that they were trained on, and comparisons."""

from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from immiscible_diffusion.comparison import Comparison, comparison_from_json, pairing_names, run_place
from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.runs.checkpoints import checkpoint_steps
from immiscible_diffusion.runs.folder import load_data, read_experiment
from immiscible_diffusion.runs.trained_model import TrainedModel, load_trained
from immiscible_diffusion.text_to_image.prompts import Prompts
from immiscible_diffusion.text_to_image.runs import read_text_to_image
from immiscible_diffusion.text_to_image.starting import experiment_images, experiment_prompts
from immiscible_diffusion.text_to_image.stored_images import StoredImages
from immiscible_diffusion.text_to_image.trained_model import TrainedTextToImage, load_trained_text_to_image


def image_model(folder: Path) -> TrainedModel:
    """Load a run on images, once for each checkpoint."""
    return _image_model(folder, checkpoint_steps(folder / "checkpoints")[-1])


def prompted_model(folder: Path) -> TrainedTextToImage:
    """Load a text-to-image run, once for each checkpoint."""
    return _prompted_model(folder, checkpoint_steps(folder / "checkpoints")[-1])


@lru_cache(maxsize=4)
def images_of(folder: Path) -> ImageData:
    """Load the data that a run on images was trained on."""
    return load_data(read_experiment(folder))


@lru_cache(maxsize=4)
def told_images_of(folder: Path) -> tuple[StoredImages, tuple[int, ...], Prompts]:
    """Open the data of a text-to-image run: images, usable rows, and the prompts of each."""
    experiment = read_text_to_image(folder)
    stored = experiment_images(experiment)
    rows = tuple(row for row in range(len(stored)) if row not in stored.faults)
    prompts = experiment_prompts(experiment, stored, torch.tensor(rows))
    return stored, rows, prompts


def told_image(stored: StoredImages, row: int) -> Tensor:
    """Decode one image, uint8 [1, 3, H, W]. Raises ValueError where that cannot be done."""
    pixels, faults = stored.decoded([row])
    if faults:
        raise ValueError(f"{faults[row]}; take another")
    return pixels


def comparison_of(results: Path) -> tuple[Comparison, dict[str, Tensor]]:
    """Read a comparison, and the sample sheets of its first seed where they are beside it."""
    comparison = comparison_from_json(results.read_text(encoding="utf-8"))
    seed = min(curve.seed for curve in comparison.curves)
    for folder in (results.parent, results.parent / comparison.experiment):
        sheets = {
            name: run_place(folder, name, seed) / "sheet.safetensors" for name in pairing_names(comparison)
        }
        if all(sheet.exists() for sheet in sheets.values()):
            return comparison, {name: load_file(sheet)["pixels"] for name, sheet in sheets.items()}
    return comparison, {}


@lru_cache(maxsize=8)
def _image_model(folder: Path, step: int) -> TrainedModel:
    return load_trained(folder, str(step))


@lru_cache(maxsize=2)
def _prompted_model(folder: Path, step: int) -> TrainedTextToImage:
    return load_trained_text_to_image(folder, str(step))
