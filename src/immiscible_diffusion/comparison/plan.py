"""What a comparison trains, how it is measured, and where its runs lie."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immiscible_diffusion.experiment import at_image_std
from immiscible_diffusion.pairing import canonical_name


@dataclass(frozen=True)
class Plan:
    """What a comparison trains and how it is judged.

    pairings: short names; the baseline is the first "independent", or the first of all.
    image_stds: nominal stds to train at in place of the experiment's own; with several, every pairing is
        trained at each, under a name such as "assigned, image std 2", and the first is the baseline's.
    evaluations: network evaluations per image to measure at. judged_at: the one the headline is about.
    points: measurements along each run, evenly spaced, the last at the end. count: images per measurement.
    features, weights: as `feature_network` takes them. Raises ValueError for a value out of range.
    """

    pairings: tuple[str, ...] = ("independent", "nearest:8", "assigned")
    seeds: int = 3
    evaluations: tuple[int, ...] = (5, 20, 50)
    judged_at: int = 20
    points: int = 10
    count: int = 2000
    features: str = "auto"
    weights: Path | None = None
    image_stds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        names = tuple(canonical_name(name) for name in self.pairings)
        object.__setattr__(self, "pairings", names)
        if not names or len(set(names)) < len(names) or (len(names) < 2 and len(self.image_stds) < 2):
            raise ValueError(f"pairings must be two or more different ones, got {' '.join(names) or 'none'}")
        if len(set(self.image_stds)) < len(self.image_stds):
            raise ValueError(f"image_stds must differ, got {' '.join(f'{std:g}' for std in self.image_stds)}")
        for name in ("seeds", "points"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.count < 2:
            raise ValueError(f"count must be 2 images or more, got {self.count}; 2000 is usual here")
        if any(number < 1 for number in self.evaluations) or self.judged_at not in self.evaluations:
            raise ValueError(
                f"evaluations must be 1 or more and hold judged_at, got {self.evaluations} "
                f"and {self.judged_at}"
            )

    @property
    def baseline(self) -> str:
        pairing = "independent" if "independent" in self.pairings else self.pairings[0]
        return _name(self, pairing, self.image_stds[0] if self.image_stds else None)


def variants(experiment: Any, plan: Plan) -> dict[str, Any]:
    """What a plan trains of an experiment, by the name that its curves have; the experiment's own seed."""
    if not plan.image_stds:
        return {name: dataclasses.replace(experiment, pairing=name) for name in plan.pairings}
    return {
        _name(plan, pairing, std): dataclasses.replace(at_image_std(experiment, std), pairing=pairing)
        for std in plan.image_stds
        for pairing in plan.pairings
    }


def run_place(folder: Path, name: str, seed: int) -> Path:
    """The run folder of a variant and seed within a comparison's folder."""
    plain = re.sub(r"[:, ]+", "-", name)
    return folder / "runs" / f"{plain}-seed{seed}"


def _name(plan: Plan, pairing: str, image_std: float | None) -> str:
    """What tells a variant from the others: its pairing, its image std, or both."""
    parts = [pairing] if len(plan.pairings) > 1 or len(plan.image_stds) < 2 else []
    parts += [f"image std {image_std:g}"] if len(plan.image_stds) > 1 else []
    return ", ".join(parts)
