"""What a run folder says of its run: settings, data and the centre that pairing chooses against."""

import dataclasses
import json
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from immiscible_diffusion.data import ImageData, load_images, mean_image
from immiscible_diffusion.experiment import Experiment, to_json


def load_data(experiment: Experiment) -> ImageData:
    """Load the data set that an experiment names. Raises ValueError where it has no labels but needs them."""
    data = load_images(
        experiment.data,
        image_column=experiment.image_column,
        label_column=experiment.label_column,
        resolution=experiment.resolution,
        rows=experiment.rows,
    )
    if experiment.class_conditional and data.labels is None:
        raise ValueError(
            f"class_conditional needs labels and data {experiment.data!r} has none; "
            "name their column with label_column, or train unconditionally"
        )
    return data


def check_same_settings(stored: Experiment, given: Experiment, folder: Path) -> None:
    before, now = dataclasses.asdict(stored), dataclasses.asdict(given)
    differing = [name for name in before if name != "steps" and before[name] != now[name]]
    if differing:
        text = ", ".join(f"{name} {before[name]!r} → {now[name]!r}" for name in differing)
        raise ValueError(
            f"run {str(folder)!r} began with other settings ({text}); resume it with its own, "
            "or choose another --out"
        )


def describe_run(folder: Path, experiment: Experiment, data: ImageData, write: bool) -> Tensor:
    """Store what the run is and which data it saw, once; return the centre that pairing chooses against."""
    description = {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "count": len(data.pixels),
        "shape": list(data.shape),
        "class_names": list(data.class_names),
    }
    described, centre_file = folder / "data.json", folder / "centre.safetensors"
    if described.exists() and centre_file.exists():
        before = json.loads(described.read_text())
        if before["fingerprint"] != data.fingerprint:
            raise ValueError(
                f"data {experiment.data!r} is not what run {str(folder)!r} began with: fingerprint "
                f"{data.fingerprint}, then {before['fingerprint']}; restore the data or choose another --out"
            )
        centre: Tensor = load_file(centre_file)["centre"]
    else:
        centre = mean_image(data, experiment.image_std, experiment.flip)
    if write:
        folder.mkdir(parents=True, exist_ok=True)
        if not centre_file.exists():
            save_file({"centre": centre}, centre_file)
            described.write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n")
        (folder / "config.json").write_text(to_json(experiment))
    return centre
