"""Steps that each pairing needs to reach the baseline's best distance, and how sure a few seeds can be of it.

Definition (paper, Fig. 5): the target is the baseline's best, the minimum of its curve; a pairing reaches it
where its own curve first comes down to it, linearly interpolated between evaluations. Seed s is compared with
seed s.

Both ends are extremes of a noisy curve over the same evaluations: the minimum flatters the baseline and the
first crossing flatters the pairing. A pairing that changes nothing therefore shows a speed-up above 1 in at
most half of its seeds, because that needs its minimum to be the lower of two exchangeable ones.

A target that is never reached is right-censored, not missing: steps count as infinite and the speed-up as 0,
so that medians and quantiles stay defined and no run is dropped or counted as its last step.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from immiscible_diffusion.comparison.curves import Comparison, Curve, curves_of, distances, pairing_names

CONFIDENCE = 0.95
RESAMPLES = 10_000


@dataclass(frozen=True)
class Interval:
    """Both ends of a 95% interval; `math.inf` steps and speed-up 0 mean "not reached"."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A middle over seeds (mean or median, as documented where it is used) and its 95% interval.

    `interval` is None where seeds cannot give one: fewer than two, or a value that is not finite.
    `per_seed` holds one value a seed, in order of seed.
    """

    value: float
    interval: Interval | None
    per_seed: tuple[float, ...]


@dataclass(frozen=True)
class Reach:
    """When a pairing first came down to the baseline's best; medians over seeds with bootstrap intervals.

    `steps` and `seconds` are infinite and the speed-ups 0 where it never did. A speed-up is the baseline's
    steps (or seconds) to its own best over the pairing's to the same distance; `reached` counts the seeds
    that got there.
    """

    steps: Estimate
    seconds: Estimate
    speed_up: Estimate
    speed_up_in_time: Estimate
    reached: int


@dataclass(frozen=True)
class Summary:
    """One pairing in numbers, each dictionary keyed by network evaluations per image.

    `distance` and `kernel_distance`: means at the last step. `difference`: mean of pairing minus baseline of
    the same seed at the last step (Fréchet distance, negative is better). These three have Student-t
    intervals. `pairing_share` and `seconds_per_step` are medians over seeds.
    """

    pairing: str
    seeds: tuple[int, ...]
    last_step: int
    distance: dict[int, Estimate]
    kernel_distance: dict[int, Estimate]
    difference: dict[int, Estimate]
    reach: dict[int, Reach]
    pairing_share: float
    seconds_per_step: float


def summarize(comparison: Comparison, generator: np.random.Generator) -> tuple[Summary, ...]:
    """Summarise every pairing of a comparison, the baseline first. `generator` drives the bootstrap."""
    return tuple(_summary(comparison, pairing, generator) for pairing in pairing_names(comparison))


def best(curve: Curve, evaluations: int) -> float:
    """The lowest Fréchet distance of a run: what the baseline sets as the target."""
    return min(distances(curve, evaluations))


def first_crossing(curve: Curve, target: float, evaluations: int) -> tuple[float, float]:
    """Training steps and seconds until a run's Fréchet distance first comes down to `target`.

    Linear between evaluations. A run already there at its first evaluation counts from that evaluation, which
    understates it. Returns (inf, inf) where the target is never reached.
    """
    values = distances(curve, evaluations)
    for index, (point, value) in enumerate(zip(curve.points, values, strict=True)):
        if value > target:
            continue
        if index == 0 or not math.isfinite(values[index - 1]):
            return float(point.step), float(point.seconds)
        before, above = curve.points[index - 1], values[index - 1]
        share = (above - target) / (above - value)
        return (
            before.step + share * (point.step - before.step),
            before.seconds + share * (point.seconds - before.seconds),
        )
    return math.inf, math.inf


def student_t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Student-t interval for a mean over seeds; None for fewer than two values or one that is not finite.

    Exact for normal seed noise however few the seeds, where a bootstrap of 3 seeds is far too narrow.
    """
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    numbers = np.asarray(values, dtype=np.float64)
    standard_error = numbers.std(ddof=1) / math.sqrt(len(values))
    half = float(student_t.ppf((1 + confidence) / 2, len(values) - 1) * standard_error)
    return Interval(float(numbers.mean()) - half, float(numbers.mean()) + half)


def mean_over_seeds(values: Sequence[float]) -> Estimate:
    """Mean of one value a seed, with its Student-t interval."""
    return Estimate(float(np.mean(values)), student_t_interval(values), tuple(values))


def bootstrap_interval(
    values: Sequence[float],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Percentile bootstrap interval for the median over seeds; None for fewer than two values.

    Values may be infinite. The ends are resampled medians themselves, never a mean of two.
    """
    if len(values) < 2:
        return None
    # Sorted, so that the order of the seeds does not change the draw.
    numbers = np.sort(np.asarray(values, dtype=np.float64))
    drawn = generator.integers(len(numbers), size=(resamples, len(numbers)))
    medians = np.median(numbers[drawn], axis=1)
    tail = (1 - confidence) / 2
    low = np.quantile(medians, tail, method="inverted_cdf")
    high = np.quantile(medians, 1 - tail, method="inverted_cdf")
    return Interval(float(low), float(high))


def bootstrap_coverage_limit(seeds: int) -> float:
    """The most that any interval between the lowest and the highest seed can cover the true median (0 to 1).

    Each seed falls on either side of the median with chance 1/2, so all on one side with chance 2^(1 -
    seeds). A bootstrap interval never leaves that range: with 3 seeds "95%" covers 75% at most.
    """
    return min(1 - 2.0 ** (1 - seeds), CONFIDENCE)


def _summary(comparison: Comparison, pairing: str, generator: np.random.Generator) -> Summary:
    runs = curves_of(comparison, pairing)
    baseline = {curve.seed: curve for curve in curves_of(comparison, comparison.baseline)}
    pairs = [(run, baseline[run.seed]) for run in runs]

    def means(value: Callable[[Curve, Curve, int], float]) -> dict[int, Estimate]:
        return {
            n: mean_over_seeds([value(run, base, n) for run, base in pairs]) for n in comparison.evaluations
        }

    return Summary(
        pairing=pairing,
        seeds=tuple(run.seed for run in runs),
        last_step=runs[0].points[-1].step,
        distance=means(lambda run, _, n: run.points[-1].scores[n].frechet),
        kernel_distance=means(lambda run, _, n: run.points[-1].scores[n].kernel),
        difference=means(lambda run, base, n: distances(run, n)[-1] - distances(base, n)[-1]),
        reach={n: _reach(pairs, n, generator) for n in comparison.evaluations},
        pairing_share=float(np.median([run.pairing_share for run in runs])),
        seconds_per_step=float(np.median([run.seconds_per_step for run in runs])),
    )


def _reach(pairs: list[tuple[Curve, Curve]], evaluations: int, generator: np.random.Generator) -> Reach:
    crossings = []
    speed_ups = []
    for run, base in pairs:
        target = best(base, evaluations)
        reached = first_crossing(run, target, evaluations)
        own = first_crossing(base, target, evaluations)
        crossings.append(reached)
        speed_ups.append((_ratio(own[0], reached[0]), _ratio(own[1], reached[1])))
    return Reach(
        steps=_median([steps for steps, _ in crossings], generator),
        seconds=_median([seconds for _, seconds in crossings], generator),
        speed_up=_median([steps for steps, _ in speed_ups], generator),
        speed_up_in_time=_median([seconds for _, seconds in speed_ups], generator),
        reached=sum(math.isfinite(steps) for steps, _ in crossings),
    )


def _ratio(baseline: float, pairing: float) -> float:
    """Baseline over pairing; 0 where the pairing never got there, 1 where both were there before training."""
    if math.isinf(pairing):
        return 0.0
    if pairing == 0:
        return 1.0 if baseline == 0 else math.inf
    return baseline / pairing


def _median(values: list[float], generator: np.random.Generator) -> Estimate:
    return Estimate(float(np.median(values)), bootstrap_interval(values, generator), tuple(values))
