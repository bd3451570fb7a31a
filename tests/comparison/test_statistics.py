"""Crossings, speed-ups and intervals on curves whose answers are known, and what must hold for all curves."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.comparison.synthetic import comparison, curve, realistic

from immiscible_diffusion.comparison import (
    Curve,
    Point,
    Reach,
    Summary,
    bootstrap_interval,
    first_crossing,
    student_t_interval,
    summarize,
)
from immiscible_diffusion.comparison.statistics import bootstrap_coverage_limit

STEPS = [100, 200, 300, 400]


def summaries(*curves: Curve) -> dict[str, Summary]:
    return {s.pairing: s for s in summarize(comparison(*curves), np.random.default_rng(0))}


def reach(*curves: Curve, pairing: str = "nearest") -> Reach:
    return summaries(*curves)[pairing].reach[20]


def test_crossing_is_interpolated_between_evaluations() -> None:
    run = curve("nearest", 0, [8, 6, 4, 2], STEPS)
    assert first_crossing(run, 5, 20) == (250, 25)
    assert first_crossing(run, 6, 20) == (200, 20)
    assert first_crossing(run, 2, 20) == (400, 40)


def test_crossing_is_the_first_one() -> None:
    assert first_crossing(curve("nearest", 0, [8, 4, 8, 2], STEPS), 6, 20)[0] == 150


def test_already_there_counts_from_the_first_evaluation() -> None:
    assert first_crossing(curve("nearest", 0, [1, 1, 1, 1], STEPS), 5, 20) == (100, 10)


def test_never_there_is_infinite() -> None:
    assert first_crossing(curve("nearest", 0, [8, 6, 4, 2], STEPS), 1.9, 20) == (math.inf, math.inf)


def test_diverged_points_neither_reach_nor_help_to_interpolate() -> None:
    run = curve("nearest", 0, [8, math.inf, 2, math.inf], STEPS)
    assert first_crossing(run, 5, 20)[0] == 300


def test_speed_up_of_a_curve_twice_as_fast() -> None:
    base = curve("independent", 0, [8, 6, 4, 2], STEPS)
    got = reach(base, curve("nearest", 0, [6, 2, 1, 0.5], STEPS))
    assert (got.steps.value, got.speed_up.value, got.speed_up_in_time.value, got.reached) == (200, 2, 2, 1)


def test_baselines_own_steps_are_those_of_its_minimum() -> None:
    base = curve("independent", 0, [8, 2, 4, 5], STEPS)
    assert reach(base, pairing="independent").steps.value == 200
    assert reach(base, curve("nearest", 0, [2, 1, 1, 1], STEPS)).speed_up.value == 2


def test_slower_steps_eat_the_gain_in_time() -> None:
    fast = curve("nearest", 0, [6, 2, 1, 0.5], STEPS)
    slow = dataclasses.replace(
        fast, points=tuple(dataclasses.replace(p, seconds=3 * p.seconds) for p in fast.points)
    )
    got = reach(curve("independent", 0, [8, 6, 4, 2], STEPS), slow)
    assert got.speed_up.value == 2
    assert got.speed_up_in_time.value == pytest.approx(2 / 3)


def test_seeds_are_matched() -> None:
    base = [curve("independent", 0, [8, 6, 4, 2], STEPS), curve("independent", 1, [16, 12, 8, 4], STEPS)]
    other = [curve("nearest", 1, [12, 4, 3, 3], STEPS), curve("nearest", 0, [6, 2, 1, 1], STEPS)]
    got = summaries(*base, *other)["nearest"]
    assert got.seeds == (0, 1)
    assert got.reach[20].steps.per_seed == (200, 200)
    assert got.difference[20].per_seed == (-1, -1)


@pytest.mark.parametrize(("missing", "median", "low"), [(1, 2.0, 0.0), (2, 0.0, 0.0), (3, 0.0, 0.0)])
def test_not_reached_is_kept_and_counts_as_slowest(missing: int, median: float, low: float) -> None:
    base = [curve("independent", seed, [8, 6, 4, 2], STEPS) for seed in range(3)]
    there, never = [6, 2, 1, 1], [8, 7, 6, 5]
    other = [curve("nearest", seed, never if seed < missing else there, STEPS) for seed in range(3)]
    got = reach(*base, *other)
    assert got.reached == 3 - missing
    assert len(got.speed_up.per_seed) == 3
    assert got.speed_up.value == median
    assert got.speed_up.interval is not None and got.speed_up.interval.low == low
    assert got.steps.interval is not None and got.steps.interval.high == math.inf
    assert (got.steps.value == math.inf) == (missing > 1)


def test_there_before_training() -> None:
    base = curve("independent", 0, [1, 2], [0, 10])
    assert reach(base, curve("nearest", 0, [1, 2], [0, 10])).speed_up.value == 1
    base = curve("independent", 0, [2, 1], [0, 10])
    assert reach(base, curve("nearest", 0, [1, 2], [0, 10])).speed_up.value == math.inf


def test_student_t_interval_from_the_table() -> None:
    got = student_t_interval([1, 2, 3])
    assert got is not None
    # t(0.975, 2) = 4.3027, standard deviation 1.
    assert (got.low, got.high) == pytest.approx((2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-4)


def test_one_seed_or_an_infinite_one_gives_no_t_interval() -> None:
    assert student_t_interval([1.0]) is None
    assert student_t_interval([1.0, math.inf]) is None
    assert bootstrap_interval([1.0], np.random.default_rng(0)) is None


def test_student_t_interval_covers_95_percent_with_3_seeds() -> None:
    generator = np.random.default_rng(0)
    trials = generator.normal(1.5, 0.3, size=(4000, 3))
    covered = [i.low <= 1.5 <= i.high for i in map(student_t_interval, trials) if i]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("seeds", [2, 3, 4, 5])
def test_bootstrap_cannot_cover_more_than_its_limit(seeds: int) -> None:
    generator = np.random.default_rng(1)
    trials = generator.lognormal(0.7, 0.4, size=(1500, seeds))
    true_median = math.exp(0.7)
    found = [bootstrap_interval(list(row), generator, resamples=400) for row in trials]
    covered = np.mean([i.low <= true_median <= i.high for i in found if i])
    assert covered == pytest.approx(bootstrap_coverage_limit(seeds), abs=0.035)


def test_a_pairing_that_changes_nothing_rarely_shows_a_speed_up() -> None:
    generator = np.random.default_rng(2)
    steps = list(range(10, 210, 10))
    trend = 1 + 20 / np.array(steps)
    runs = []
    for seed in range(400):
        for name in ("independent", "nearest"):
            runs.append(curve(name, seed, list(trend * np.exp(0.05 * generator.normal(size=20))), steps))
    got = reach(*runs).speed_up.per_seed
    assert np.mean(np.array(got) > 1) < 0.55
    assert np.mean(np.array(got) == 0) == pytest.approx(0.5, abs=0.08)


values = st.lists(st.floats(0.1, 100), min_size=4, max_size=4)


@given(st.lists(st.tuples(values, values), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_baseline_against_itself_is_exactly_1(runs: list[tuple[list[float], list[float]]]) -> None:
    own = [curve("independent", seed, mine, STEPS) for seed, (mine, _) in enumerate(runs)]
    same = [curve("copy", seed, mine, STEPS) for seed, (mine, _) in enumerate(runs)]
    got = summaries(*own, *same)
    for name in ("independent", "copy"):
        assert set(got[name].reach[20].speed_up.per_seed) == {1.0}
        assert got[name].difference[20].value == 0


@given(st.lists(st.tuples(values, values), min_size=2, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_order_of_seeds_changes_nothing(runs: list[tuple[list[float], list[float]]], random: object) -> None:
    own = [curve("independent", seed, mine, STEPS) for seed, (mine, _) in enumerate(runs)]
    others = [curve("nearest", seed, theirs, STEPS) for seed, (_, theirs) in enumerate(runs)]
    mixed = [*own[1:], *others[1:], *own[:1], *others[:1]]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    ordered, shuffled = summaries(*own, *others), summaries(*mixed)
    # Pairings share one generator in turn, so let them come in the same order.
    assert ordered["nearest"] == shuffled["nearest"]


@given(values, values, st.integers(2, 1000))
@settings(max_examples=40, deadline=None)
def test_speed_up_does_not_depend_on_the_unit_of_steps(
    base: list[float], other: list[float], scale: int
) -> None:
    def scaled(run: Curve) -> Curve:
        return dataclasses.replace(
            run, points=tuple(Point(p.step * scale, p.seconds, p.scores) for p in run.points)
        )

    pair = [curve("independent", 0, base, STEPS), curve("nearest", 0, other, STEPS)]
    before, after = reach(*pair), reach(*map(scaled, pair))
    assert after.speed_up.value == pytest.approx(before.speed_up.value)
    assert after.steps.value == pytest.approx(scale * before.steps.value)


@given(st.lists(st.floats(0, 1e9) | st.just(math.inf), min_size=2, max_size=8))
@settings(max_examples=60, deadline=None)
def test_bootstrap_interval_holds_the_median_and_stays_in_range(seeds: list[float]) -> None:
    got = bootstrap_interval(seeds, np.random.default_rng(0))
    assert got is not None
    assert min(seeds) <= got.low <= float(np.median(seeds)) <= got.high <= max(seeds)
    assert got == bootstrap_interval(seeds[::-1], np.random.default_rng(0))


def test_summaries_of_a_realistic_comparison() -> None:
    base, nearest, assigned = summarize(realistic(), np.random.default_rng(0))
    assert (base.pairing, nearest.pairing, assigned.pairing) == ("independent", "nearest:4", "assigned")
    assert base.reach[20].speed_up.per_seed == (1, 1, 1)
    assert 2 < nearest.reach[20].speed_up.value < 3.5
    assert nearest.reach[20].speed_up_in_time.value < nearest.reach[20].speed_up.value
    assert assigned.reach[20].reached == 0 and assigned.reach[5].reached == 3
    assert assigned.pairing_share == 0.18
    assert nearest.distance[50].value == pytest.approx(np.mean(nearest.distance[50].per_seed))
