"""Numbers as words for the table, the report and the verdicts: three figures, true minus signs."""

import math

from immiscible_diffusion.comparison.curves import Comparison
from immiscible_diffusion.comparison.statistics import Estimate, Interval

NOT_REACHED = "not reached"


def number(value: float) -> str:
    """Three figures without exponents: 0.0123, 1.44, 12.3, 1,230; "diverged" where not finite."""
    return f"{value:,.{_decimals(value)}f}".replace("-", "−") if math.isfinite(value) else "diverged"


def mean_with_interval(estimate: Estimate) -> str:
    """A mean and half its interval, to the same decimals: "1.44 ± 0.12"; the mean alone without one."""
    if estimate.interval is None:
        return number(estimate.value)
    half = (estimate.interval.high - estimate.interval.low) / 2
    return f"{number(estimate.value)} ± {half:,.{_decimals(estimate.value)}f}"


def signed_with_interval(estimate: Estimate) -> str:
    """A difference with its sign and interval: "−0.92 (−1.30 to −0.54)"."""
    if estimate.interval is None:
        return signed(estimate.value)
    return f"{signed(estimate.value)} ({interval_words(estimate.interval, _decimals(estimate.value))})"


def signed(value: float) -> str:
    """A difference with its sign, "+" included."""
    return ("+" if value > 0 else "") + number(value)


def interval_words(interval: Interval, decimals: int) -> str:
    """Both ends of an interval to so many decimals: "−1.30 to −0.54"."""
    return f"{interval.low:,.{decimals}f} to {interval.high:,.{decimals}f}".replace("-", "−")


def difference_interval(estimate: Estimate) -> str:
    """The interval of a difference alone, to the decimals of its middle."""
    return (
        "no interval"
        if estimate.interval is None
        else interval_words(estimate.interval, _decimals(estimate.value))
    )


def steps(value: float) -> str:
    """Training steps, whole; "not reached" where infinite."""
    return f"{value:,.0f}" if math.isfinite(value) else NOT_REACHED


def seconds(value: float) -> str:
    """Wall time in s, min or h; "not reached" where infinite."""
    if not math.isfinite(value):
        return NOT_REACHED
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"


def speed_up(value: float) -> str:
    """A ratio of steps or seconds: "2.31×"; "not reached" where 0."""
    if value == 0:
        return NOT_REACHED
    return f"{value:.{max(_decimals(value), 1)}f}×" if math.isfinite(value) else "∞×"


def speed_up_with_interval(estimate: Estimate) -> str:
    """A speed-up and its interval: "2.31× (1.92 to 2.60)"; "not reached" stands for an end at 0."""
    if estimate.interval is None or estimate.interval.high == 0:
        return speed_up(estimate.value)
    ends = f"{speed_up(estimate.interval.low)} to {speed_up(estimate.interval.high)}"
    return f"{speed_up(estimate.value)} ({ends.replace('×', '')})"


def distance_words(comparison: Comparison) -> str:
    """The distance with its feature network, without which no such number means anything."""
    return f"{comparison.distance_name} ({comparison.feature_network} features, lower is better)"


def percent(share: float) -> str:
    """A share (0 to 1) as a percentage, one decimal below 10%."""
    return f"{100 * share:.{1 if 0 < 100 * share < 9.95 else 0}f}%"


def listed(words: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def seeds_words(count: int) -> str:
    """ "1 seed", "3 seeds"."""
    return f"{count} seed{'' if count == 1 else 's'}"


def _decimals(value: float) -> int:
    if not math.isfinite(value) or value == 0:
        return 2
    return min(6, max(0, 2 - math.floor(math.log10(abs(value)))))
