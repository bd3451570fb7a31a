"""The table of a comparison of policies, from made-up scores."""

import pytest

from immiscible_diffusion.policy.comparison import PolicyPlan, PolicyResult, policy_table, split_name, written
from immiscible_diffusion.policy.scoring import Measure, PolicyScore


def result(pairing: str, seed: int, score: float) -> PolicyResult:
    scores = ((score - 0.1, score + 0.1), (score, score))
    coverages = tuple(tuple(value * 0.95 for value in row) for row in scores)
    return PolicyResult(pairing, seed, "x", PolicyScore((1, 2), scores, coverages, 0.5, {}), 60.0, 0.25)


def test_means_intervals_and_paired_differences() -> None:
    plan = PolicyPlan(("independent", "assigned@16"), 3, Measure(starts=2, last=2))
    vanilla, paired = (0.5, 0.6, 0.7), (0.55, 0.66, 0.74)
    results = [result("independent", seed, value) for seed, value in enumerate(vanilla)]
    results += [result("assigned@16", seed, value) for seed, value in enumerate(paired)]
    table = policy_table(results, plan)
    (first, second) = table.rows
    assert first[0] == "independent" and first[1] == "60.0 ± 24.8" and first[5] == "–"
    # Differences 5, 6 and 4 points: mean 5, Student t with 2 degrees of freedom: ± 2.48.
    assert second[5] == "+5.0 (+2.5 to +7.5)" and second[6:] == ("0.50", "+0.250", "1.0 min")
    assert table.notes == ("assigned@16 is better than independent, outside seed noise.",)
    alone = policy_table(
        [one for one in results if one.seed == 0], PolicyPlan(plan.pairings, 1, plan.measure)
    )
    assert alone.rows[1][1] == "55.0" and "one seed cannot tell" in alone.notes[0]
    same = [result("assigned@16", seed, value) for seed, value in enumerate((0.6, 0.5, 0.75))]
    assert "no difference" in policy_table([*results[:3], *same], plan).notes[0]


def test_scores_of_a_run() -> None:
    score = result("independent", 0, 0.5).score
    assert score.mean == pytest.approx(0.5) and score.best == pytest.approx(0.5)
    assert score.success == 0 and score.coverage == pytest.approx(0.475)
    assert score.interval is not None and score.interval.low < 0.5 < score.interval.high


def test_plans_refuse_what_cannot_be_compared() -> None:
    assert split_name("NEAREST:2:l2@16") == ("nearest:2", 16) and written("assigned", 0) == "assigned"
    with pytest.raises(ValueError, match=r"pairing 'assigned@x' needs a number of rows after @"):
        split_name("assigned@x")
    with pytest.raises(ValueError, match="pairings must be two or more different ones"):
        PolicyPlan(("assigned", "assigned"))
    with pytest.raises(ValueError, match="seeds must be 1 or more, got 0"):
        PolicyPlan(seeds=0)
    for settings, message in (
        ({"starts": 0}, "starts must be 1 or more"),
        ({"last": 11}, "last must be 10 at most"),
        ({"mode_samples": 1}, "mode_samples 2 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            Measure(**settings)
