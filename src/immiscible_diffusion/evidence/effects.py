"""Each pairing against vanilla of the same seed, as shares of vanilla's distance."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from immiscible_diffusion.comparison import Estimate, Summary, mean_over_seeds, summarize
from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.comparison.verdicts import Outcome, outcome_of
from immiscible_diffusion.evidence.result import Again, Result

FEWEST_SEEDS = 3  # one seed or two bound nothing


@dataclass(frozen=True)
class Effect:
    """change: of the distance at the last step, as a share of the baseline's mean; negative is better.

    outcome: whether its 95 % Student-t interval over seeds excludes 0.
    """

    comparison: str
    pairing: str
    evaluations: int
    change: Estimate
    outcome: Outcome


@lru_cache(maxsize=64)  # the page asks many times, and each resamples for its intervals
def summaries(result: Result) -> tuple[Summary, ...]:
    """The comparison's summaries, the baseline's first; intervals from a generator of their own."""
    return tuple(summarize(result.comparison, np.random.default_rng(0)))


@lru_cache(maxsize=64)
def effects(result: Result) -> tuple[Effect, ...]:
    """Every pairing but the baseline at every number of evaluations, in the comparison's order."""
    comparison = result.comparison
    first, *others = summaries(result)
    return tuple(
        Effect(
            result.name,
            summary.pairing,
            n,
            mean_over_seeds([value / first.distance[n].value for value in summary.difference[n].per_seed]),
            outcome_of(summary.difference[n]),
        )
        for summary in others
        for n in comparison.evaluations
    )


def compares_pairings_alone(result: Result) -> bool:
    """Whether nothing but the pairing differs or is given: no labels, one image std."""
    settings = result.comparison.settings
    return not settings["class_conditional"] and not isinstance(settings["image_std"], list)


def effects_by_pairing(result: Result) -> dict[str, list[Effect]]:
    """A result's effects by pairing, from the fewest evaluations to the most."""
    found: dict[str, list[Effect]] = {}
    for effect in effects(result):
        found.setdefault(effect.pairing, []).append(effect)
    return found


def plain_k(pairing: str) -> int | None:
    """The k of `nearest:k` with nothing chosen beside it; None for any other pairing."""
    parts = pairing.split(":")
    return int(parts[1]) if parts[0] == "nearest" and len(parts) == 2 and parts[1].isdecimal() else None


def best_of_nearest(result: Result, evaluations: int) -> Effect | None:
    """The `nearest:k` of the least distance; None where fewer than three k were tried."""
    swept = [e for e in effects(result) if e.evaluations == evaluations and plain_k(e.pairing) is not None]
    return min(swept, key=lambda effect: effect.change.value) if len(swept) > 2 else None


def few_and_many(found: list[Effect]) -> str:
    """A pairing's change at the fewest evaluations and at the most: "−18 ± 4 % → +2 ± 3 %"."""
    return f"{percent_change(found[0])} → {percent_change(found[-1])}"


def vanilla_distance(result: Result) -> dict[int, float]:
    """The baseline's mean distance at the last step, by number of evaluations."""
    first = summaries(result)[0]
    return {n: first.distance[n].value for n in result.comparison.evaluations}


def change_row(result: Result, found: dict[str, list[Effect]], columns: list[str]) -> tuple[str, str]:
    """A comparison's head with its evaluations, and the cells of vanilla and of each pairing of `columns`."""
    few, *_, many = result.comparison.evaluations
    vanilla = vanilla_distance(result)
    cells = [f"{say.number(vanilla[few])} → {say.number(vanilla[many])}"]
    cells += [few_and_many(found[pairing]) if pairing in found else "" for pairing in columns]
    return f"[{result.name}](#{result.name}) ({few} → {many})", " | ".join(cells)


def percent_change(effect: Effect) -> str:
    """An effect's change as `shown_change` writes it."""
    return shown_change(effect.change)


def shown_change(change: Estimate) -> str:
    """A share as "−18 ± 4 %", with half its interval; bold where that excludes 0."""
    if not math.isfinite(change.value):
        return "diverged"
    if change.interval is None:
        return percent(change.value)
    half = 50 * (change.interval.high - change.interval.low)
    words = f"{_whole(change.value)} ± {half:.0f} %"
    return f"**{words}**" if outcome_of(change) in ("helps", "harms") else words


def shown_again(asked: list[Again], vanilla: dict[int, float], evaluations: int) -> str:
    """Mean change of runs asked again, as a share of vanilla's mean; empty where nothing was measured.

    vanilla: distance by seed, that of the same seed being compared with.
    """
    base = float(np.mean(list(vanilla.values()))) if vanilla else 1.0
    changes = [(a.frechet[evaluations] - vanilla[a.seed]) / base for a in asked if a.seed in vanilla]
    return shown_change(mean_over_seeds(changes)) if changes else ""


def percent(share: float) -> str:
    """A share as "−18 %"."""
    return f"{_whole(share)} %"


def _whole(share: float) -> str:
    words = f"{100 * share:+.0f}"
    return "+0" if words == "-0" else words.replace("-", "−")
