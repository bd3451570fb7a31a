"""Everything that decides the outcome of a training run, as one frozen value that `config.json` holds."""

import dataclasses
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from immiscible_diffusion.data.images import BadData
from immiscible_diffusion.objectives import EDM, Consistency, Diffusion, FlowMatching
from immiscible_diffusion.pairing import canonical_name
from immiscible_diffusion.pairing.suggestions import unknown

Precision = Literal["no", "bf16", "fp16"]
# Whether noise is drawn and chosen for a step's whole batch, or by each process for its own rows.
PairedOver = Literal["batch", "process"]
FORMAT = 1  # of config.json
AnyObjective = Diffusion | FlowMatching | EDM | Consistency
OBJECTIVES: dict[str, type[AnyObjective]] = {
    "diffusion": Diffusion,
    "flow-matching": FlowMatching,
    "edm": EDM,
    "consistency": Consistency,
}


class OtherKindError(ValueError):
    """A run of another kind than the one asked for."""


@dataclass(frozen=True)
class Experiment:
    """One training run: data, network, objective, pairing, optimiser, length and seed.

    data: as `load_images` takes it. network: a name of `build_network`. pairing: as `pairing_from_name`
    takes it; "nearest:8" is centred on the data set's mean image, "nearest:8:uncentred" is the paper's.
    image_std: nominal std of the images, 0.5 for [−1, 1] (paper §3.3.3 tries 1, 2 and 4).
    batch_size: rows a step, over all processes and accumulated pieces. accumulation: pieces of a step.
    ema_decay: of the averaged weights that are sampled from. clip_norm: of the gradient.
    paired_over: with several processes, "batch" draws and pairs the noise of the whole batch on each of them,
    so that their number changes no pair, and assignment spans them; "process" lets each pair its own rows.
    pairing_window: successive steps whose noise is drawn and paired as one pool, of which assignment makes
    more than of small batches; nearest noise serves each image alone, and does not care.
    rows: train on the first so many images only. bad_data: whether an image that cannot be used stops the
    run before it begins or is left out. Raises ValueError for a value out of range.
    """

    name: str
    data: str
    network: str
    objective: AnyObjective
    pairing: str = "nearest:8"
    image_std: float = 0.5
    flip: bool = False
    class_conditional: bool = False
    batch_size: int = 128
    steps: int = 1000
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    ema_decay: float = 0.995
    accumulation: int = 1
    precision: Precision = "no"
    paired_over: PairedOver = "batch"
    pairing_window: int = 1
    seed: int = 0
    rows: int | None = None
    resolution: int | None = None
    image_column: str | None = None
    label_column: str | None = None
    bad_data: BadData = "stop"

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairing", canonical_name(self.pairing))
        check_training(self)
        if self.bad_data not in get_args(BadData):
            raise ValueError(unknown("bad_data", self.bad_data, get_args(BadData)))
        if not self.image_std > 0:
            raise ValueError(f"image_std must be greater than 0, got {self.image_std}")
        if self.pairing.startswith("assigned:within") and not self.class_conditional:
            raise ValueError(
                f"pairing {self.pairing!r} assigns within a condition and this run has none; "
                "add --class-conditional True, or use 'assigned'"
            )


def check_training(experiment: Any) -> None:
    """Refuse settings of the training loop that are out of range, whatever is trained."""
    for name in ("batch_size", "steps", "accumulation", "pairing_window"):
        if getattr(experiment, name) < 1:
            raise ValueError(f"{name} must be 1 or more, got {getattr(experiment, name)}")
    for name in ("learning_rate", "clip_norm"):
        if not getattr(experiment, name) > 0:
            raise ValueError(f"{name} must be greater than 0, got {getattr(experiment, name)}")
    for name in ("warmup_steps", "weight_decay", "seed"):
        if getattr(experiment, name) < 0:
            raise ValueError(f"{name} must be 0 or more, got {getattr(experiment, name)}")
    if not 0 <= experiment.ema_decay < 1:
        raise ValueError(
            f"ema_decay must be from 0 up to but not 1, got {experiment.ema_decay}; 0.9999 is usual"
        )
    if experiment.batch_size % experiment.accumulation:
        raise ValueError(
            f"accumulation must divide batch_size, got {experiment.accumulation} and {experiment.batch_size}"
        )
    if experiment.precision not in get_args(Precision):
        raise ValueError(unknown("precision", experiment.precision, get_args(Precision)))
    if experiment.paired_over not in get_args(PairedOver):
        raise ValueError(unknown("paired_over", experiment.paired_over, get_args(PairedOver)))


def at_image_std(experiment: Experiment, image_std: float) -> Experiment:
    """Change the scale of the images, and with it the std that EDM and consistency take them to have."""
    scaled = dataclasses.replace(experiment, image_std=image_std)
    if not isinstance(scaled.objective, EDM | Consistency):
        return scaled
    sigma_data = scaled.objective.sigma_data * image_std / experiment.image_std
    return dataclasses.replace(scaled, objective=dataclasses.replace(scaled.objective, sigma_data=sigma_data))


def to_json(experiment: Any) -> str:
    """Write an experiment of any kind as JSON, the objective with its name; `kind` tells it from images'."""
    kind = {} if isinstance(experiment, Experiment) else {"kind": experiment.kind}
    values = {**kind, "format": FORMAT, **values_of(experiment)}
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def from_json(text: str) -> Experiment:
    """Read an experiment back. Raises ValueError for a missing or unknown key: none is ignored."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"settings must be a JSON object, got {type(values).__name__}")
    if "kind" in values:
        raise OtherKindError(
            f"the run trains a {values['kind']}, and this command is for images; "
            "`immiscible evaluate` takes every kind"
        )
    experiment: Experiment = built_from(Experiment, values)
    return experiment


def trains(folder: Path, kind: str) -> bool:
    """Whether a run folder's config.json says that it trains this kind; a damaged one says nothing."""
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("kind") == kind


def values_of(experiment: Any) -> dict[str, Any]:
    """The settings of an experiment of any kind as plain values, the objective with its name."""
    values = dataclasses.asdict(experiment)
    names = {kind: name for name, kind in OBJECTIVES.items()}
    return {**values, "objective": {"name": names[type(experiment.objective)], **values["objective"]}}


def built_from(kind: Any, values: dict[str, Any]) -> Any:
    """Build an experiment of `kind` from what its JSON held; ValueError for a missing or unknown key."""
    values = dict(values)
    written = values.pop("format", 1)
    if written != FORMAT:
        raise ValueError(
            f"format {written!r}, this version reads {FORMAT}; upgrade immiscible-diffusion to read it"
        )
    objective = dict(values.pop("objective", {"name": ""}))
    name = objective.pop("name", "")
    if name not in OBJECTIVES:
        raise ValueError(unknown("objective", str(name), OBJECTIVES))
    return _build(kind, {**values, "objective": _build(OBJECTIVES[name], objective)})


def _build(kind: Any, values: dict[str, Any]) -> Any:
    names = [field.name for field in fields(kind)]
    for name in values:
        if name not in names:
            raise ValueError(unknown(f"{kind.__name__} setting", name, names))
    missing = [f.name for f in fields(kind) if f.default is dataclasses.MISSING and f.name not in values]
    if missing:
        raise ValueError(f"{kind.__name__} settings lack {', '.join(missing)}")
    return kind(**values)
