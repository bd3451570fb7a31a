"""What a comparison measured: curves of distance against training, as frozen dataclasses and as JSON."""

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Score:
    """Distances between generated and real images, lower is better.

    A value that is not a number becomes `math.inf`: the run diverged, and no later statistic may lose it.
    """

    frechet: float
    kernel: float

    def __post_init__(self) -> None:
        for name, value in (("frechet", self.frechet), ("kernel", self.kernel)):
            if value == -math.inf:
                raise ValueError(
                    f"Score.{name} is {value}: give a distance, or math.inf for a run that diverged"
                )
            object.__setattr__(self, name, math.inf if math.isnan(value) else value)


@dataclass(frozen=True)
class Point:
    """One evaluation during training.

    `seconds` is training wall time so far, evaluation left out. `scores` is keyed by network evaluations per
    image.
    """

    step: int
    seconds: float
    scores: dict[int, Score]


@dataclass(frozen=True)
class Curve:
    """One training run; `pairing_share` (0 to 1) is the median share of a step spent in pairing."""

    pairing: str
    seed: int
    points: tuple[Point, ...]
    pairing_share: float
    seconds_per_step: float

    def __post_init__(self) -> None:
        name = f"the curve of pairing {self.pairing!r}, seed {self.seed}"
        if not self.pairing.strip() or not self.pairing.isprintable():
            raise ValueError(f"Curve.pairing is {self.pairing!r}: give it a name of printable characters")
        if not self.points:
            raise ValueError(f"{name} has no points: evaluate at least once during training")
        if not 0 <= self.pairing_share <= 1:
            raise ValueError(f"{name} has pairing_share {self.pairing_share}: give a share from 0 to 1")
        if not 0 <= self.seconds_per_step < math.inf:
            raise ValueError(f"{name} has seconds_per_step {self.seconds_per_step}: give a number from 0 up")
        steps = [point.step for point in self.points]
        seconds = [point.seconds for point in self.points]
        if steps[0] < 0 or any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValueError(f"{name} has steps {steps}: give them from 0 up, each larger than the last")
        if not (seconds[0] >= 0 and all(b >= a for a, b in pairwise(seconds)) and seconds[-1] < math.inf):
            raise ValueError(f"{name} has seconds {seconds}: give training wall time so far, never falling")


@dataclass(frozen=True)
class Comparison:
    """The same training run under several pairings and seeds, and everything needed to name it.

    Every curve is evaluated at the same steps, so that no pairing has more chances than another to be lucky;
    every pairing runs seeds that the baseline ran too, because seeds are compared in pairs. `evaluations` are
    kept in rising order and `settings` as JSON values (tuples become lists). `distance_name` is "FID" for
    Inception features alone.

    Raises ValueError where the curves cannot be compared fairly.
    """

    experiment: str
    baseline: str
    curves: tuple[Curve, ...]
    evaluations: tuple[int, ...]
    judged_at: int
    feature_network: str
    distance_name: str
    real_count: int
    generated_count: int
    settings: dict[str, Any]
    environment: dict[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "evaluations", tuple(sorted(self.evaluations)))
        _check(self)
        try:
            plain = json.loads(json.dumps(self.settings, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Comparison.settings cannot be written as JSON ({error}): use plain values"
            ) from error
        object.__setattr__(self, "settings", plain)


def pairing_names(comparison: Comparison) -> tuple[str, ...]:
    """Names of the pairings: the baseline first, the others in the order in which they first appear."""
    return tuple(dict.fromkeys([comparison.baseline, *(curve.pairing for curve in comparison.curves)]))


def curves_of(comparison: Comparison, pairing: str) -> tuple[Curve, ...]:
    """The runs of one pairing, in order of seed."""
    return tuple(sorted((c for c in comparison.curves if c.pairing == pairing), key=lambda curve: curve.seed))


def distances(curve: Curve, evaluations: int) -> list[float]:
    """Fréchet distance at every point of a run, at so many network evaluations per image."""
    return [point.scores[evaluations].frechet for point in curve.points]


def comparison_to_json(comparison: Comparison) -> str:
    """Write a comparison as strict JSON (no NaN, no Infinity); a diverged distance is null."""
    content = {field.name: getattr(comparison, field.name) for field in fields(Comparison)}
    content["evaluations"] = list(comparison.evaluations)
    content["curves"] = [
        {
            "pairing": curve.pairing,
            "seed": int(curve.seed),
            "points": [
                {
                    "step": int(point.step),
                    "seconds": float(point.seconds),
                    "scores": {
                        str(evaluations): {
                            "frechet": _finite_or_none(score.frechet),
                            "kernel": _finite_or_none(score.kernel),
                        }
                        for evaluations, score in point.scores.items()
                    },
                }
                for point in curve.points
            ],
            "pairing_share": float(curve.pairing_share),
            "seconds_per_step": float(curve.seconds_per_step),
        }
        for curve in comparison.curves
    ]
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)


def comparison_to_csv(comparison: Comparison) -> str:
    """Write every distance of a comparison as CSV, one a row; a diverged one is empty."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["pairing", "seed", "step", "seconds", "evaluations", "frechet", "kernel"])
    for curve in comparison.curves:
        for point in curve.points:
            for evaluations, score in point.scores.items():
                numbers = [_finite_or_none(score.frechet), _finite_or_none(score.kernel)]
                rows.writerow([curve.pairing, curve.seed, point.step, point.seconds, evaluations, *numbers])
    return text.getvalue()


def comparison_from_json(text: str) -> Comparison:
    """Read back what `comparison_to_json` wrote.

    Raises ValueError, naming the place, for a missing or unknown key, or a value of the wrong kind.
    """
    content = _keys(json.loads(text), Comparison, "the comparison")
    content["curves"] = tuple(
        _curve(c, f"curves[{i}]") for i, c in enumerate(_list(content["curves"], "curves"))
    )
    content["evaluations"] = tuple(_list(content["evaluations"], "evaluations"))
    _kinds(content, "the comparison", str, ("experiment", "baseline", "feature_network", "distance_name"))
    _kinds(content, "the comparison", int, ("judged_at", "real_count", "generated_count"))
    _kinds(content, "the comparison", dict, ("settings", "environment"))
    _kinds(dict(enumerate(content["evaluations"])), "evaluations", int, range(len(content["evaluations"])))
    _kinds(content["environment"], "environment", str, content["environment"])
    return Comparison(**content)


def _curve(value: object, where: str) -> Curve:
    content = _keys(value, Curve, where)
    points = _list(content["points"], f"{where}.points")
    content["points"] = tuple(_point(p, f"{where}.points[{i}]") for i, p in enumerate(points))
    _kinds(content, where, str, ("pairing",))
    _kinds(content, where, int, ("seed",))
    _kinds(content, where, float, ("pairing_share", "seconds_per_step"))
    return Curve(**content)


def _point(value: object, where: str) -> Point:
    content = _keys(value, Point, where)
    _kinds(content, where, int, ("step",))
    _kinds(content, where, float, ("seconds",))
    _kinds(content, where, dict, ("scores",))
    scores = {}
    for evaluations, score in content["scores"].items():
        if not evaluations.isdecimal():
            raise ValueError(
                f"{where}.scores has the key {evaluations!r}: use a number of network evaluations"
            )
        place = f"{where}.scores[{evaluations}]"
        numbers = {k: math.inf if v is None else v for k, v in _keys(score, Score, place).items()}
        _kinds(numbers, place, float, ("frechet", "kernel"))
        scores[int(evaluations)] = Score(**numbers)
    return Point(content["step"], content["seconds"], scores)


def _keys(value: object, kind: type[Any], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {type(value).__name__}: it must be a JSON object")
    expected = {field.name for field in fields(kind)}
    if unknown := sorted(value.keys() - expected):
        raise ValueError(
            f"{where} has unknown keys {unknown}: remove them, or read it with the version that wrote it"
        )
    if missing := sorted(expected - value.keys()):
        raise ValueError(f"{where} lacks the keys {missing}: this file is cut short or of another version")
    return dict(value)


def _kinds(content: dict[Any, Any], where: str, kind: type[Any], names: Iterable[Any]) -> None:
    allowed = (int, float) if kind is float else kind
    for name in names:
        # bool is an int to Python, but never a count or a distance.
        if not isinstance(content[name], allowed) or isinstance(content[name], bool):
            raise ValueError(f"{where}.{name} is {content[name]!r}: it must be a {kind.__name__}")


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is {type(value).__name__}: it must be a JSON list")
    return value


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _check(comparison: Comparison) -> None:
    counts = list(comparison.evaluations)
    if not counts or len(counts) != len(set(counts)) or counts[0] < 1:
        raise ValueError(f"Comparison.evaluations is {counts}: give distinct counts of 1 or more")
    if comparison.judged_at not in counts:
        raise ValueError(
            f"Comparison.judged_at is {comparison.judged_at}: choose one of evaluations {counts}"
        )
    baseline = {curve.seed: curve for curve in comparison.curves if curve.pairing == comparison.baseline}
    if not baseline:
        names = sorted({curve.pairing for curve in comparison.curves})
        raise ValueError(
            f"Comparison.baseline is {comparison.baseline!r} and no curve has it: choose one of {names}"
        )
    seen = set()
    steps = [point.step for point in comparison.curves[0].points]
    for curve in comparison.curves:
        name = f"the curve of pairing {curve.pairing!r}, seed {curve.seed}"
        if (curve.pairing, curve.seed) in seen:
            raise ValueError(f"{name} is there twice: give every run of a pairing its own seed")
        seen.add((curve.pairing, curve.seed))
        if curve.seed not in baseline:
            raise ValueError(
                f"{name} has no baseline of its seed: run {comparison.baseline!r} with that seed too"
            )
        if [point.step for point in curve.points] != steps:
            raise ValueError(
                f"{name} is not evaluated at steps {steps}: evaluate every run at the same steps"
            )
        for point in curve.points:
            if sorted(point.scores) != counts:
                raise ValueError(
                    f"{name} scores {sorted(point.scores)} at step {point.step}: score at {counts}"
                )
    for curve in baseline.values():
        for count in counts:
            if not any(map(math.isfinite, distances(curve, count))):
                raise ValueError(
                    f"the baseline {curve.pairing!r} of seed {curve.seed} diverged at {count} evaluations, "
                    "so there is nothing to reach: lower the learning rate until the baseline trains"
                )
