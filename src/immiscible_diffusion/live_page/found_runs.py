"""What there is to look at: finished runs and comparisons below some folders, loaded once."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from immiscible_diffusion.checkpoints import checkpoint_steps
from immiscible_diffusion.comparison import Comparison, comparison_from_json, pairing_names, run_place
from immiscible_diffusion.data import ImageData
from immiscible_diffusion.policy.experiment import KIND as POLICY
from immiscible_diffusion.policy.kept import KEPT_FOLDER
from immiscible_diffusion.run_folder import load_data, read_experiment
from immiscible_diffusion.text_to_image.experiment import KIND as TEXT
from immiscible_diffusion.text_to_image.trained_model import TrainedTextToImage, load_trained_text_to_image
from immiscible_diffusion.trained_model import TrainedModel, load_trained

DEEPEST = 5  # folders below a given one: runs/demo/digits-flow/runs/NAME and one more
VANILLA = "independent"
BETWEEN = " · "  # the parts of a run's name: experiment, pairing, seed, folder


@dataclass(frozen=True)
class Found:
    """Folders by the name that a person chooses them under; of comparisons, their results.json."""

    images: dict[str, Path] = field(default_factory=dict)
    prompted: dict[str, Path] = field(default_factory=dict)  # text-to-image runs
    policies: dict[str, Path] = field(default_factory=dict)
    comparisons: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Library:
    """Where to look; what is found there changes while the page is open."""

    folders: tuple[Path, ...]  # none below another

    def found(self) -> Found:
        return find(self.folders)


def two_alike(names: Sequence[str]) -> tuple[str | None, str | None]:
    """Choose a vanilla run and one of the same experiment and seed that is paired, if there are."""
    vanilla = [name for name in names if name.split(BETWEEN)[1] == VANILLA]
    for name in vanilla:
        like = [one for one in names if one != name and _but_pairing(one) == _but_pairing(name)]
        if like:
            return name, min(like, key=lambda one: not one.split(BETWEEN)[1].startswith("assigned"))
    first = next(iter([*vanilla, *names]), None)
    return first, next((name for name in names if name != first), first)


def find(folders: Sequence[Path]) -> Found:
    """Look for finished runs and comparisons in folders and below them; damaged ones are passed by."""
    found = Found()
    kinds = {TEXT: found.prompted, POLICY: found.policies, None: found.images}
    for folder in dict.fromkeys(place for given in folders for place in _below(given, DEEPEST)):
        config = _read(folder / "config.json")
        if config is None:
            for file in sorted(folder.glob("*results.json")):
                held = _read(file)
                if held and "curves" in held and "judged_at" in held:
                    found.comparisons[f"{held['experiment']}{BETWEEN}{file}"] = file
        elif config.get("kind") in kinds and "pairing" in config and _has_weights(folder, config.get("kind")):
            said = (config.get("name"), config["pairing"], f"seed {config.get('seed')}", folder)
            kinds[config.get("kind")][BETWEEN.join(map(str, said))] = folder
    return found


def chosen(what: str, name: Any, among: dict[str, Path]) -> Path:
    """Give the folder of a name. Raises ValueError where it is none of those found."""
    if not among:
        raise ValueError(f"there is no {what} yet; train the digits on the first tab, or start with one")
    if not isinstance(name, str) or name not in among:
        raise ValueError(f"{str(name)[:80]!r} is no {what} here; choose one of the list")
    return among[name]


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


def _below(folder: Path, depth: int) -> Iterator[Path]:
    yield folder
    if depth and not (folder / "config.json").exists() and folder.is_dir():
        for below in sorted(folder.iterdir()):
            if below.is_dir() and not below.is_symlink():
                yield from _below(below, depth - 1)


def _but_pairing(name: str) -> tuple[str, str, Path]:
    experiment, _, seed, folder = name.split(BETWEEN, 3)
    return experiment, seed, Path(folder).parent


def _read(file: Path) -> dict[str, Any] | None:
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) else None


def _has_weights(folder: Path, kind: str | None) -> bool:
    return bool(checkpoint_steps(folder / (KEPT_FOLDER if kind == POLICY else "checkpoints")))
