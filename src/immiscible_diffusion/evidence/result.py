"""What came of a comparison, as results/NAME.json holds it: all that the page says comes from there."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from immiscible_diffusion.atomic_files import write_text
from immiscible_diffusion.comparison import Comparison, comparison_from_json, comparison_to_json
from immiscible_diffusion.evaluation import Memorisation
from immiscible_diffusion.experiment import OBJECTIVES, Experiment

FORMAT = "immiscible result 1"
HELD_OUT = "held out"


@dataclass(frozen=True)
class RunRecord:
    """How one run was made. pairing: as its curve has it. seconds: wall time of training.

    cpu_seconds: of training and measuring together, in one process; None where it was stopped on the way.
    hardware: that it was made on; runs of a comparison may come from several machines.
    """

    pairing: str
    seed: int
    date: str
    commit: str
    seconds: float
    cpu_seconds: float | None
    memorisation: Memorisation
    hardware: str


@dataclass(frozen=True)
class Again:
    """A finished run measured from another start, or in another network's features.

    start: "gaussian", N(0, I); "marginal", a Gaussian with the mean and std that pairing leaves; "paired",
    noise that the pairing itself gave to training images, which are then forgotten; "std 0.9", N(0, 0.81 I),
    what shorter noise does to vanilla.
    frechet: distance by number of evaluations, to the real images: those of training, or others, `HELD_OUT`.
    """

    pairing: str
    seed: int
    start: str
    features: str
    frechet: dict[int, float]
    real: str = "training"


@dataclass(frozen=True, eq=False)  # one is itself alone, so that what is worked out of it can be kept
class Result:
    """One comparison of the evidence, how each of its runs was made, and what else was asked of it.

    marginals: by pairing, of its noise: std, length of the mean, and lean towards its image, in σ.
    held_out: Fréchet distance of the training images to those held out, where there are any.
    """

    name: str
    command: str
    comparison: Comparison
    runs: tuple[RunRecord, ...]
    again: tuple[Again, ...] = ()
    marginals: dict[str, dict[str, float]] = field(default_factory=dict)
    held_out: float | None = None


def write_result(result: Result, folder: Path) -> Path:
    """Write `folder`/NAME.json, whole or not at all."""
    content = {
        "format": FORMAT,
        "name": result.name,
        "command": result.command,
        "runs": [dataclasses.asdict(run) for run in result.runs],
        "marginals": result.marginals,
        "held_out": result.held_out,
        "again": [dataclasses.asdict(one) for one in result.again],
        "comparison": json.loads(comparison_to_json(result.comparison)),
    }
    path = folder / f"{result.name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def read_result(path: Path) -> Result:
    """Read what `write_result` wrote. Raises ValueError, naming the file, where it holds something else."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format", None) != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        runs = tuple(
            RunRecord(**{**run, "memorisation": Memorisation(**run["memorisation"])})
            for run in content.pop("runs")
        )
        again = tuple(
            Again(**{**one, "frechet": {int(n): value for n, value in one["frechet"].items()}})
            for one in content.pop("again", [])
        )
        comparison = comparison_from_json(json.dumps(content.pop("comparison")))
        return Result(**content, runs=runs, again=again, comparison=comparison)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"result {str(path)!r} cannot be read ({error}); restore it, or delete it and run "
            "`immiscible evidence run` again"
        ) from error


def read_results(folder: Path) -> dict[str, Result]:
    """Read every result in a folder, by name."""
    return {path.stem: read_result(path) for path in sorted(folder.glob("*.json"))}


def with_later_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Add to a comparison's settings those that came later, the objective's too, at their defaults."""
    kinds = {kind.__name__: kind for kind in OBJECTIVES.values()}
    objective = settings["objective"]
    objective = _defaults(kinds[objective["kind"]]) | objective
    return _defaults(Experiment) | settings | {"objective": objective}


def _defaults(kind: Any) -> dict[str, Any]:
    return {
        field.name: field.default
        for field in dataclasses.fields(kind)
        if field.default is not dataclasses.MISSING
    }
