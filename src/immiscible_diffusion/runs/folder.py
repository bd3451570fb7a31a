"""What a run folder says of its run: settings, data and the centre that pairing chooses against."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from immiscible_diffusion.atomic_files import remove_remnants, write_text, written_aside
from immiscible_diffusion.data.images import ImageData, load_images, mean_image
from immiscible_diffusion.experiment import Experiment, OtherKindError, from_json, to_json
from immiscible_diffusion.pairing import is_staged

DESCRIBED = ("name", "fingerprint", "shape", "class_names")  # what data.json of images must have


def load_data(experiment: Experiment) -> ImageData:
    """Load the data set that an experiment names. Raises ValueError where it has no labels but needs them."""
    data = load_images(
        experiment.data,
        image_column=experiment.image_column,
        label_column=experiment.label_column,
        resolution=experiment.resolution,
        rows=experiment.rows,
        bad_data=experiment.bad_data,
    )
    if experiment.class_conditional and data.labels is None:
        raise ValueError(
            f"class_conditional needs labels and data {experiment.data!r} has none; "
            "name their column with label_column, or train unconditionally"
        )
    return data


def check_vacant(folder: Path, resume: bool) -> None:
    """Raise FileExistsError where the folder holds a run that is not to be resumed."""
    if (folder / "config.json").exists() and not resume:
        raise FileExistsError(
            f"folder {str(folder)!r} already holds a run; "
            "add --resume to go on with it, or choose another --out"
        )


def check_same_data(folder: Path, data: str, fingerprint: str) -> None:
    """Raise ValueError where data are not those that the folder's run began with, if it has begun."""
    if not (folder / "data.json").exists():
        return
    before = read_description(folder, ("fingerprint",))["fingerprint"]
    if before != fingerprint:
        raise ValueError(
            f"data {data!r} is not what run {str(folder)!r} began with: fingerprint "
            f"{fingerprint}, then {before}; restore the data or choose another --out"
        )


def check_same_settings(stored: Any, given: Any, folder: Path) -> None:
    staged = is_staged(stored.pairing)
    if stored.steps != given.steps and (stored.objective.depends_on_length or staged):
        raise ValueError(
            f"steps cannot change from {stored.steps} to {given.steps} in run {str(folder)!r}: its "
            f"{'pairing' if staged else 'curriculum'} is spread over them; resume it with "
            f"--steps {stored.steps}, or choose another --out"
        )
    before, now = dataclasses.asdict(stored), dataclasses.asdict(given)
    differing = [name for name in before if name != "steps" and before[name] != now[name]]
    if differing:
        text = ", ".join(f"{name} {before[name]!r} → {now[name]!r}" for name in differing)
        raise ValueError(
            f"run {str(folder)!r} began with other settings ({text}); resume it with its own, "
            "or choose another --out"
        )


def read_experiment(folder: Path) -> Experiment:
    """Read the config.json of a run on images; see `read_settings`."""
    experiment: Experiment = read_settings(folder, from_json)
    return experiment


def read_settings(folder: Path, built: Callable[[str], Any]) -> Any:
    """Read a run's config.json with what builds an experiment of its kind from JSON.

    Raises FileNotFoundError where the folder holds no run, ValueError where this version cannot
    read the file.
    """
    file = folder / "config.json"
    if not file.exists():
        raise FileNotFoundError(
            f"{str(folder)!r} is no run folder: it has no config.json; give one that `immiscible train` wrote"
        )
    try:
        return built(file.read_text(encoding="utf-8"))
    except OtherKindError as error:
        raise OtherKindError(f"run {str(folder)!r}: {error}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file} does not fit this version of immiscible-diffusion: {error}; put it back as the run "
            "wrote it, use the version that did, or choose another --out"
        ) from error


def read_description(folder: Path, names: Sequence[str] = DESCRIBED) -> dict[str, Any]:
    """Read a run's data.json, which must have `names`.

    Raises FileNotFoundError and ValueError, naming the file.
    """
    file = folder / "data.json"
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing; put it back, or train again with another --out")
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        lacking = [name for name in names if name not in description]
        if lacking:
            raise ValueError(f"it lacks {', '.join(lacking)}")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{file} cannot be read: {error}; put it back as the run wrote it, or choose another --out"
        ) from error
    return dict(description)


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """Read what `immiscible evaluate` measured of a run; None where it was not."""
    file = folder / "evaluation.json"
    measured: dict[str, Any] | None = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
    return measured


def describe_run(folder: Path, experiment: Experiment, data: ImageData, write: bool) -> Tensor:
    """Store what the run is and which data it saw, once; return the centre that pairing chooses against.

    config.json comes last, so that a folder that has it has the rest. Raises OSError where the folder cannot
    be written, ValueError where its data differ from those given or it is damaged.
    """
    described, centre_file = folder / "data.json", folder / "centre.safetensors"
    check_same_data(folder, experiment.data, data.fingerprint)
    centre = stored_centre(folder, data) if centre_file.exists() else None
    if centre is None:
        centre = mean_image(data, experiment.image_std, experiment.flip)
    if write:
        description = {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "count": len(data.pixels),
            "shape": list(data.shape),
            "class_names": list(data.class_names),
            "skipped": len(data.skipped_rows),
            "skipped_rows": list(data.skipped_rows),
        }
        for place in (folder, folder / "samples", folder / "checkpoints"):
            remove_remnants(place)
        try:
            if not centre_file.exists():
                with written_aside(centre_file) as aside:
                    save_file({"centre": centre}, aside)
            if not described.exists():
                write_text(described, json.dumps(description, indent=2, ensure_ascii=False) + "\n")
            write_text(folder / "config.json", to_json(experiment))
        except (OSError, SafetensorError) as error:
            raise OSError(
                f"run folder {str(folder)!r} cannot be written: {error}; "
                "make room or give permission there, or choose another --out"
            ) from error
    return centre


def stored_centre(folder: Path, data: ImageData) -> Tensor:
    """Read the mean image that a run's pairing chooses against. Raises ValueError where it is damaged."""
    file = folder / "centre.safetensors"
    try:
        centre = load_file(file)["centre"]
        if tuple(centre.shape) != data.shape:
            raise ValueError(f"it is {list(centre.shape)}, images are {list(data.shape)}")
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ValueError(
            f"{file} is damaged: {error}; delete it to have it computed again from the data"
        ) from error
    return centre
