"""Trained runs as an analysis takes them: checked to be comparable, grouped so that only seeds differ."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from immiscible_diffusion.data.images import ImageData, to_pixels
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.runs.folder import load_data, read_description
from immiscible_diffusion.runs.trained_model import TrainedModel, load_trained
from immiscible_diffusion.sampling import sample

# A difference in one of these makes another group; any other that a run's quality hangs on is a warning.
NAMED = ("pairing", "image_std", "network")


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ in their seed alone, in order of seed."""

    name: str  # the pairing, and what else tells it from the other groups
    models: tuple[TrainedModel, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(model.experiment.seed for model in self.models)


@dataclass(frozen=True, eq=False)
class TrainedRuns:
    """Groups of runs of one objective on one data set; the first group is the baseline."""

    data: ImageData
    groups: tuple[Group, ...]
    described: tuple[dict[str, Any], ...]  # a record a run, for a finding's settings
    warnings: tuple[str, ...]

    @property
    def title(self) -> str:
        """What the runs are, in a few words."""
        names = dict.fromkeys(model.experiment.name for group in self.groups for model in group.models)
        return ", ".join(names)

    @property
    def steps(self) -> str:
        """How long they were trained."""
        steps = sorted({model.step for group in self.groups for model in group.models})
        return f"{' and '.join(f'{step:,}' for step in steps)} training steps"


def load_runs(folders: Sequence[Path], data: str | None = None) -> TrainedRuns:
    """Load runs to look at side by side, onto the device that training would take.

    folders: run folders, or folders of a comparison, which stand for all its runs. data: where the data is
    now, if it has moved.
    Raises FileNotFoundError for what is no run, ValueError where runs differ in data, objective or class
    conditioning, or where two are the same pairing and seed.
    """
    places = [run for folder in folders for run in _runs_in(folder)]
    if not places:
        raise ValueError("no run given; name one or more folders that `immiscible train` wrote")
    device = Accelerator().device
    models = [load_trained(place) for place in places]
    for model in models:
        model.network.to(device)
    fingerprints = [_fingerprint(place) for place in places]
    _check_same(places, models, fingerprints)
    trained = models[0].experiment
    images = load_data(trained if data is None else dataclasses.replace(trained, data=data))
    if images.fingerprint != fingerprints[0]:
        raise ValueError(
            f"data {data or trained.data!r} is not what {str(places[0])!r} was trained on; "
            "give its place with --data"
        )
    groups = _grouped(places, models)
    described = tuple(_describe(place, model) for place, model in zip(places, models, strict=True))
    return TrainedRuns(images, groups, described, _differences(models, groups))


def equal_renoising(model: TrainedModel, count: int) -> list[torch.Generator]:
    """Make the generators of a sampler that adds noise on the way: the same noise for every row.

    So images differ by the noise that they begin with and by nothing else.
    """
    return [generator_for(model.experiment.seed, "samples", step=2) for _ in range(count)]


def images_from(model: TrainedModel, noise: Tensor, evaluations: int, labels: Tensor | None = None) -> Tensor:
    """Turn given noise [N, C, H, W] into images, uint8 on the CPU."""
    device = next(model.network.parameters()).device
    clean = sample(
        model.experiment.objective,
        model.network,
        noise.to(device),
        evaluations,
        condition=None if labels is None else labels.to(device),
        generator=equal_renoising(model, len(noise)),
    )
    return to_pixels(clean, model.experiment.image_std).cpu()


def _runs_in(folder: Path) -> list[Path]:
    if not (folder / "config.json").exists() and (folder / "runs").is_dir():
        return sorted(run for run in (folder / "runs").iterdir() if (run / "config.json").exists())
    return [folder]


def _fingerprint(place: Path) -> str:
    return str(read_description(place)["fingerprint"])


def _check_same(places: Sequence[Path], models: Sequence[TrainedModel], fingerprints: Sequence[str]) -> None:
    first = models[0].experiment
    for place, model, fingerprint in zip(places, models, fingerprints, strict=True):
        other = model.experiment
        differing = [
            f"{name} {before} and {now}"
            for name, before, now in (
                ("data", f"{first.data!r} ({fingerprints[0]})", f"{other.data!r} ({fingerprint})"),
                ("objective", first.objective, other.objective),
                ("class_conditional", first.class_conditional, other.class_conditional),
            )
            if (fingerprint != fingerprints[0] if name == "data" else before != now)
        ]
        if differing:
            raise ValueError(
                f"runs {str(places[0])!r} and {str(place)!r} cannot be compared: they differ in "
                f"{'; '.join(differing)}; look at them one by one"
            )


def _grouped(places: Sequence[Path], models: Sequence[TrainedModel]) -> tuple[Group, ...]:
    varied = [name for name in NAMED if len({getattr(m.experiment, name) for m in models}) > 1] or ["pairing"]
    lengths = len({model.step for model in models}) > 1
    groups: dict[str, dict[int, TrainedModel]] = {}
    for place, model in zip(places, models, strict=True):
        parts = [_called(name, getattr(model.experiment, name)) for name in varied]
        parts += [f"{model.step:,} steps"] if lengths else []
        group = groups.setdefault(", ".join(parts), {})
        if model.experiment.seed in group:
            raise ValueError(
                f"run {str(place)!r} is the second {', '.join(parts)} of seed {model.experiment.seed}; "
                "give each pairing and seed once"
            )
        group[model.experiment.seed] = model
    # Python's sort is stable: independent first, the others as given.
    ordered = sorted(groups, key=lambda name: not name.startswith("independent"))
    return tuple(Group(name, tuple(groups[name][seed] for seed in sorted(groups[name]))) for name in ordered)


def _called(name: str, value: float | str) -> str:
    return value if isinstance(value, str) else f"{name.replace('_', ' ')} {value:g}"


def _differences(models: Sequence[TrainedModel], groups: Sequence[Group]) -> tuple[str, ...]:
    first, said = models[0].experiment, []
    ignored = {*NAMED, "seed", "data", "name"}
    for field in dataclasses.fields(Experiment):
        values = dict.fromkeys(str(getattr(model.experiment, field.name)) for model in models)
        if field.name not in ignored and len(values) > 1:
            said.append(f"{field.name} ({', '.join(values)})")
    warnings = (
        [f"the runs of {first.name} differ in more than their pairing: {'; '.join(said)}"] if said else []
    )
    if len({group.seeds for group in groups}) > 1:
        each = "; ".join(f"{group.name} {', '.join(map(str, group.seeds))}" for group in groups)
        warnings.append(f"the groups have different seeds ({each}); differences are of the seeds they share")
    if min(len(group.seeds) for group in groups) == 1:
        warnings.append("one seed says nothing about seed noise; train at least 3")
    return tuple(warnings)


def _describe(place: Path, model: TrainedModel) -> dict[str, Any]:
    digest = hashlib.blake2b(digest_size=16)
    for tensor in model.network.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return {
        "folder": str(place),
        "experiment": model.experiment.name,
        "pairing": model.experiment.pairing,
        "image_std": model.experiment.image_std,
        "seed": model.experiment.seed,
        "step": model.step,
        "weights": digest.hexdigest(),
    }
