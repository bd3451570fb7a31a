"""Help is called help, harm harm, and seed noise and single seeds what they are."""

import math

import numpy as np
import pytest
from tests.comparison.synthetic import comparison, curve, realistic

from immiscible_diffusion.comparison import Curve, Verdict, headline, judge, summarize

STEPS = [100, 200]


def verdict_of(base: list[float], other: list[float]) -> Verdict:
    """The verdict on last distances `other` against `base`, seed by seed; both start at 10."""
    runs = [curve("independent", seed, [10, value], STEPS) for seed, value in enumerate(base)]
    runs += [curve("nearest", seed, [10, value], STEPS) for seed, value in enumerate(other)]
    both = comparison(*runs)
    return judge(both, summarize(both, np.random.default_rng(0)))[1]


def test_help_is_called_help() -> None:
    said = verdict_of([4.0, 4.1, 3.9], [2.0, 2.2, 1.9])
    assert said.outcome == "helps"
    assert said.sentence.startswith(
        "nearest helps: after 200 steps its distance at 20 evaluations is 1.97 (49%) lower"
    )
    assert "95% Student-t interval of the paired difference −2.11 to −1.82; 3 seeds" in said.sentence
    assert "in 3 of 3 seeds" in said.sentence and "bootstrap over seeds" in said.sentence


def test_harm_is_called_harm() -> None:
    said = verdict_of([2.0, 2.1, 1.9], [4.0, 4.2, 3.9])
    assert said.outcome == "harms"
    assert "higher than independent's" in said.sentence
    assert "never reached independent's best distance (3 seeds)" in said.sentence


def test_noise_is_called_noise() -> None:
    said = verdict_of([2.0, 2.1, 1.9], [1.8, 2.4, 1.9])
    assert said.outcome == "cannot tell"
    assert said.sentence.startswith("nearest cannot be told from seed noise with 3 seeds: after 200 steps")
    assert "which includes no difference" in said.sentence


def test_pairs_of_seeds_tell_what_means_cannot() -> None:
    # Seeds differ by far more than the pairing does, and the pairing helps every one of them alike.
    assert verdict_of([2.0, 4.0, 8.0], [1.8, 3.79, 7.81]).outcome == "helps"


def test_one_seed_cannot_tell() -> None:
    said = verdict_of([4.0], [0.1])
    assert said.outcome == "one seed"
    assert said.sentence.startswith("nearest ran with one seed, which cannot tell")
    assert "Run at least 3" in said.sentence


def test_two_seeds_need_a_very_clear_difference() -> None:
    assert verdict_of([4.0, 4.4], [3.8, 3.9]).outcome == "cannot tell"


def test_diverged_runs_are_told() -> None:
    said = verdict_of([4.0, 4.1, 3.9], [2.0, math.inf, 1.9])
    assert said.outcome == "diverged"
    assert "1 of 3 seeds ended without a finite distance at 20 evaluations, against 0 of 3" in said.sentence


def test_the_same_is_not_a_difference() -> None:
    said = verdict_of([4.0, 4.1], [4.0, 4.1])
    assert said.outcome == "cannot tell" and "the same as independent's" in said.sentence


def test_a_gain_that_turns_elsewhere_is_told() -> None:
    both = realistic()
    base, nearest, assigned = judge(both, summarize(both, np.random.default_rng(0)))
    assert (base.outcome, nearest.outcome, assigned.outcome) == ("baseline", "helps", "harms")
    assert "At other evaluation counts the answer differs: it helps at 5." in assigned.sentence
    assert "differs" not in nearest.sentence


def test_false_alarms_are_as_rare_as_claimed() -> None:
    generator = np.random.default_rng(3)
    alarms = 0
    for _ in range(300):
        base, other = generator.normal(4, 0.3, size=(2, 3))
        runs: list[Curve] = []
        for seed in range(3):
            runs += [
                curve("independent", seed, [base[seed]], [9]),
                curve("nearest", seed, [other[seed]], [9]),
            ]
        both = comparison(*runs)
        alarms += judge(both, summarize(both, generator))[1].outcome in ("helps", "harms")
    assert alarms / 300 == pytest.approx(0.05, abs=0.03)


def test_headline_says_all_in_two_sentences() -> None:
    both = realistic()
    spoken = judge(both, summarize(both, np.random.default_rng(0)))
    assert headline(spoken) == (
        f"nearest:4 helps; assigned harms. Speed-up in steps to independent's best distance: "
        f"nearest:4 {spoken[1].speed_up}, assigned not reached."
    )
    alone = comparison(curve("independent", 0, [2, 1], STEPS))
    assert "nothing to compare" in headline(judge(alone, summarize(alone, np.random.default_rng(0))))
