"""Numbers read as a person would write them."""

import math

import pytest

from immiscible_diffusion.comparison import Estimate, Interval
from immiscible_diffusion.comparison import formatting as say


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.4449, "1.44"),
        (12.34, "12.3"),
        (1234.4, "1,234"),
        (0.01234, "0.0123"),
        (0.0, "0.00"),
        (-0.0004, "−0.000400"),
        (math.inf, "diverged"),
    ],
)
def test_number(value: float, words: str) -> None:
    assert say.number(value) == words


def test_estimates() -> None:
    assert say.mean_with_interval(Estimate(1.444, Interval(1.32, 1.568), (1.4, 1.5))) == "1.44 ± 0.12"
    assert say.mean_with_interval(Estimate(1.444, None, (1.444,))) == "1.44"
    assert say.signed_with_interval(Estimate(-0.92, Interval(-1.3, -0.54), ())) == "−0.920 (−1.300 to −0.540)"
    assert say.signed(0.5) == "+0.500"


def test_speed_ups() -> None:
    assert say.speed_up_with_interval(Estimate(2.314, Interval(1.9, 2.6), ())) == "2.31× (1.90 to 2.60)"
    assert say.speed_up_with_interval(Estimate(2.314, Interval(0, 2.6), ())) == "2.31× (not reached to 2.60)"
    assert (
        say.speed_up_with_interval(Estimate(0, Interval(0, 2.6), ())) == "not reached (not reached to 2.60)"
    )
    assert say.speed_up_with_interval(Estimate(0, Interval(0, 0), ())) == "not reached"
    assert say.speed_up(math.inf) == "∞×"


def test_time_steps_and_shares() -> None:
    assert [say.seconds(s) for s in (9.07, 119, 600, 9000, math.inf)] == [
        "9.07 s",
        "119 s",
        "10 min",
        "2.5 h",
        "not reached",
    ]
    assert (say.steps(1000.4), say.steps(math.inf)) == ("1,000", "not reached")
    assert [say.percent(s) for s in (0, 0.0304, 0.18, 1)] == ["0%", "3.0%", "18%", "100%"]
    assert [say.listed(list(w)) for w in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
