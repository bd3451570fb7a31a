"""What the numbers allow one to say about each pairing, in one plain sentence or two."""

import math
from dataclasses import dataclass
from typing import Literal

from immiscible_diffusion.comparison.curves import Comparison
from immiscible_diffusion.comparison.formatting import (
    difference_interval,
    listed,
    number,
    percent,
    seeds_words,
    speed_up,
    speed_up_with_interval,
    steps,
)
from immiscible_diffusion.comparison.statistics import Estimate, Summary

Outcome = Literal["baseline", "helps", "harms", "cannot tell", "one seed", "diverged"]


@dataclass(frozen=True)
class Verdict:
    """What can be said of one pairing at the evaluations that the comparison is judged at.

    `outcome` is the answer in a word, `opening` in a few. `difference` gives the distance at the last step,
    with numbers; `speed` says when the baseline's best was reached, and is empty for the baseline; `speed_up`
    is the median speed-up in steps alone.
    """

    pairing: str
    outcome: Outcome
    opening: str
    difference: str
    speed: str
    speed_up: str

    @property
    def sentence(self) -> str:
        """Everything in a row."""
        return f"{self.opening}: {self.difference} {self.speed}".strip()


def outcome_of(difference: Estimate) -> Outcome:
    """Judge a paired difference of distances (negative is better): does its Student-t interval exclude 0?"""
    if not all(map(math.isfinite, difference.per_seed)):
        return "diverged"
    if difference.interval is None:
        return "one seed"
    if difference.interval.high < 0:
        return "helps"
    return "harms" if difference.interval.low > 0 else "cannot tell"


def judge(comparison: Comparison, summaries: tuple[Summary, ...]) -> tuple[Verdict, ...]:
    """The verdict on every pairing of `summarize(comparison, ...)`, the baseline first."""
    return tuple(verdict(comparison, summary, summaries[0]) for summary in summaries)


def verdict(comparison: Comparison, summary: Summary, baseline: Summary) -> Verdict:
    """Say in plain words whether a pairing's difference from the baseline stands out of seed noise.

    `summary` and `baseline` are two of what `summarize(comparison, ...)` returned. Judged by the paired
    difference of Fréchet distances at the last step; the speed-up is told beside it, since few seeds bound it
    too loosely to judge by.
    """
    at = comparison.judged_at
    name = summary.pairing
    if name == comparison.baseline:
        distance = f"{comparison.distance_name} {number(summary.distance[at].value)}"
        words = f"{distance} at {at} evaluations after {steps(summary.last_step)} steps."
        return Verdict(name, "baseline", f"{name} is the baseline", words, "", "1×")
    outcome = outcome_of(summary.difference[at])
    openings = {
        "helps": f"{name} helps",
        "harms": f"{name} harms",
        "cannot tell": f"{name} cannot be told from seed noise with {seeds_words(len(summary.seeds))}",
        "one seed": f"{name} ran with one seed, which cannot tell",
        "diverged": f"{name} cannot be judged, because runs diverged",
    }
    say_difference = _diverged if outcome == "diverged" else _difference
    words = say_difference(summary, baseline, at) + _elsewhere(summary, outcome, at)
    ratio = speed_up(summary.reach[at].speed_up.value)
    return Verdict(name, outcome, openings[outcome], words, _speed(summary, baseline, at), ratio)


def headline(verdicts: tuple[Verdict, ...]) -> str:
    """All verdicts in two short sentences: what each pairing does, and its speed-up."""
    words: dict[Outcome, tuple[str, str]] = {
        "helps": ("helps", "help"),
        "harms": ("harms", "harm"),
        "cannot tell": ("cannot be told from seed noise", "cannot be told from seed noise"),
        "one seed": ("ran with one seed, which cannot tell", "ran with one seed, which cannot tell"),
        "diverged": ("diverged", "diverged"),
    }
    parts = []
    for outcome, (one, several) in words.items():
        names = [said.pairing for said in verdicts if said.outcome == outcome]
        if names:
            parts.append(f"{listed(names)} {one if len(names) == 1 else several}")
    if not parts:
        return "Only the baseline ran, so there is nothing to compare."
    speeds = ", ".join(f"{v.pairing} {v.speed_up}" for v in verdicts if v.outcome != "baseline")
    return f"{'; '.join(parts)}. Speed-up in steps to {verdicts[0].pairing}'s best distance: {speeds}."


def _difference(summary: Summary, baseline: Summary, at: int) -> str:
    difference = summary.difference[at]
    # Against the same seeds' baseline, so that the share fits the difference beside it.
    reference = summary.distance[at].value - difference.value
    share = f" ({percent(abs(difference.value) / reference)})" if reference > 0 else ""
    if difference.value == 0:
        size = f"the same as {baseline.pairing}'s"
    else:
        side = "lower" if difference.value < 0 else "higher"
        size = f"{number(abs(difference.value))}{share} {side} than {baseline.pairing}'s"
    text = f"after {steps(summary.last_step)} steps its distance at {at} evaluations is {size}"
    if difference.interval is None:
        return f"{text} in this seed, and another seed may say otherwise. Run at least 3."
    bounds = f"95% Student-t interval of the paired difference {difference_interval(difference)}"
    aside = ", which includes no difference" if outcome_of(difference) == "cannot tell" else ""
    return f"{text} ({bounds}{aside}; {seeds_words(len(summary.seeds))})."


def _diverged(summary: Summary, baseline: Summary, at: int) -> str:
    own = sum(not math.isfinite(value) for value in summary.distance[at].per_seed)
    other = sum(not math.isfinite(value) for value in baseline.distance[at].per_seed)
    return (
        f"{own} of {seeds_words(len(summary.seeds))} ended without a finite distance at {at} evaluations, "
        f"against {other} of {len(baseline.seeds)} of {baseline.pairing}, so the difference has no interval."
    )


def _elsewhere(summary: Summary, outcome: Outcome, at: int) -> str:
    """Name other evaluation counts whose answer stands out and differs: gains at few may be lost at many."""
    parts = []
    for kind in ("helps", "harms"):
        counts = [
            n for n in summary.difference if n != at and outcome_of(summary.difference[n]) == kind != outcome
        ]
        if counts:
            parts.append(f"it {kind} at {listed([str(n) for n in counts])}")
    return f" At other evaluation counts the answer differs: {listed(parts)}." if parts else ""


def _speed(summary: Summary, baseline: Summary, at: int) -> str:
    reach = summary.reach[at]
    goal = f"{baseline.pairing}'s best distance"
    if reach.reached == 0:
        return f"It never reached {goal} ({seeds_words(len(summary.seeds))})."
    if len(summary.seeds) == 1:
        in_steps, in_time = speed_up(reach.speed_up.value), speed_up(reach.speed_up_in_time.value)
        at_step = steps(reach.steps.value)
        return f"It reached {goal} at step {at_step}: {in_steps} the speed in steps, {in_time} in wall time."
    got_there = f"It reached {goal} in {reach.reached} of {seeds_words(len(summary.seeds))}"
    if reach.speed_up.value == 0:
        return f"{got_there}, so its median speed-up counts as not reached."
    return (
        f"{got_there}: median speed-up {speed_up_with_interval(reach.speed_up)} in steps, "
        f"{speed_up_with_interval(reach.speed_up_in_time)} in wall time (bootstrap over seeds)."
    )
