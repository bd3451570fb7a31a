"""Each pairing against vanilla of the same seed, as shares of vanilla's distance."""

import math
from dataclasses import dataclass

import numpy as np

from immiscible_diffusion.comparison import Comparison, Estimate, mean_over_seeds, summarize
from immiscible_diffusion.comparison.verdicts import Outcome, outcome_of
from immiscible_diffusion.evidence.result import Result


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


def effects(result: Result) -> tuple[Effect, ...]:
    """Every pairing but the baseline at every number of evaluations, in the comparison's order."""
    comparison = result.comparison
    first, *others = summarize(comparison, np.random.default_rng(0))
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


def percent_change(effect: Effect) -> str:
    """ "−18 %", bold where it stands out of seed noise, with the interval's half width."""
    if not math.isfinite(effect.change.value):
        return "diverged"
    words = f"{100 * effect.change.value:+.0f}"
    interval = effect.change.interval
    if interval is not None:
        words += f" ± {50 * (interval.high - interval.low):.0f}"
    words = f"{words} %".replace("-", "−")
    return f"**{words}**" if effect.outcome in ("helps", "harms") else words


def few_and_many(comparison: Comparison) -> tuple[int, int]:
    """The fewest and the most evaluations that a comparison measures at."""
    return comparison.evaluations[0], comparison.evaluations[-1]
