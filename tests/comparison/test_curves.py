"""Comparisons refuse what cannot be compared, and come back from JSON as they were."""

import csv
import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.comparison.synthetic import comparison, curve, realistic

from immiscible_diffusion.comparison import (
    Comparison,
    Curve,
    Point,
    Score,
    comparison_from_json,
    comparison_to_csv,
    comparison_to_json,
)
from immiscible_diffusion.comparison.curves import curves_of, pairing_names

finite = st.floats(-1e6, 1e6)


def test_realistic_round_trip() -> None:
    before = realistic()
    assert comparison_from_json(comparison_to_json(before)) == before


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=6), st.text(max_size=20))
def test_round_trip_of_any_numbers_and_names(values: list[tuple[float, float]], name: str) -> None:
    points = tuple(Point(i, i * 0.1, {20: Score(f, k)}) for i, (f, k) in enumerate(values))
    before = comparison(Curve("independent", 3, points, 0.25, 0.1), experiment=name)
    assert comparison_from_json(comparison_to_json(before)) == before


def test_diverged_distance_is_null_in_strict_json() -> None:
    before = comparison(curve("independent", 0, [3, math.inf], [1, 2]))
    text = comparison_to_json(before)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert "null" in text
    assert comparison_from_json(text) == before


def test_csv_has_every_distance_and_an_empty_cell_where_a_run_diverged() -> None:
    before = realistic()
    rows = list(csv.DictReader(comparison_to_csv(before).splitlines()))
    written = {
        (row["pairing"], int(row["seed"]), int(row["step"]), int(row["evaluations"])): (
            float(row["frechet"]),
            float(row["kernel"]),
            float(row["seconds"]),
        )
        for row in rows
    }
    assert len(rows) == len(written)
    assert written == {
        (curve.pairing, curve.seed, point.step, count): (score.frechet, score.kernel, point.seconds)
        for curve in before.curves
        for point in curve.points
        for count, score in point.scores.items()
    }
    broken = comparison_to_csv(comparison(curve("independent", 0, [3, math.inf], [1, 2])))
    assert broken.splitlines()[-1].endswith(",20,,")


def test_not_a_number_means_diverged() -> None:
    assert Score(math.nan, 0.1).frechet == math.inf
    with pytest.raises(ValueError, match=r"Score\.kernel is -inf"):
        Score(1.0, -math.inf)


def test_settings_become_plain_json() -> None:
    given_settings = dataclasses.replace(
        comparison(curve("independent", 0, [1], [1])), settings={"betas": (0.9, 1)}
    )
    assert given_settings.settings == {"betas": [0.9, 1]}
    with pytest.raises(ValueError, match=r"Comparison\.settings cannot be written as JSON"):
        dataclasses.replace(given_settings, settings={"dtype": object()})


def test_order_of_pairings_seeds_and_evaluations() -> None:
    runs = [curve(name, seed, [1], [1]) for name in ("b", "independent", "a") for seed in (2, 0)]
    both = comparison(*runs)
    assert pairing_names(both) == ("independent", "b", "a")
    assert [run.seed for run in curves_of(both, "a")] == [0, 2]
    runs = [curve("independent", 0, [1], [1], (50, 5))]
    assert comparison(*runs, evaluations=(50, 5)).evaluations == (5, 50)


def _broken(change: str) -> str:
    content: dict[str, Any] = json.loads(
        comparison_to_json(comparison(curve("independent", 0, [2, 1], [1, 2])))
    )
    run = content["curves"][0]
    point = run["points"][1]
    score = point["scores"]["20"]
    exec(change, {"content": content, "run": run, "point": point, "score": score})
    return json.dumps(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("content['colour'] = 1", r"the comparison has unknown keys \['colour'\]"),
        ("run['colour'] = 1", r"curves\[0\] has unknown keys"),
        ("point['colour'] = 1", r"curves\[0\].points\[1\] has unknown keys"),
        ("score['colour'] = 1", r"points\[1\].scores\[20\] has unknown keys"),
        ("del content['baseline']", r"lacks the keys \['baseline'\]"),
        ("del score['kernel']", r"lacks the keys \['kernel'\]"),
        ("run['seed'] = '0'", r"curves\[0\].seed is '0': it must be a int"),
        ("point['step'] = True", r"step is True: it must be a int"),
        ("score['frechet'] = 'low'", r"frechet is 'low': it must be a float"),
        ("point['scores']['many'] = score", r"has the key 'many'"),
        ("content['curves'] = {}", r"curves is dict: it must be a JSON list"),
        ("content['evaluations'] = ['20']", r"it must be a int"),
        ("content['environment'] = {'torch': 2}", r"environment.torch is 2: it must be a str"),
        ("content['curves'][0] = 3", r"curves\[0\] is int: it must be a JSON object"),
    ],
)
def test_strict_reading(change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        comparison_from_json(_broken(change))


def _single(**changes: Any) -> Comparison:
    return dataclasses.replace(comparison(curve("independent", 0, [2, 1], [1, 2])), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluations": ()}, "evaluations is"),
        ({"evaluations": (20, 20)}, "evaluations is"),
        ({"judged_at": 5}, "judged_at is 5"),
        ({"baseline": "vanilla"}, "baseline is 'vanilla' and no curve has it"),
        ({"curves": ()}, "baseline is 'independent' and no curve has it"),
    ],
)
def test_surroundings_must_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _single(**changes)


def test_curves_must_be_comparable() -> None:
    base = curve("independent", 0, [2, 1], [1, 2])
    with pytest.raises(ValueError, match="is there twice"):
        comparison(base, base)
    with pytest.raises(ValueError, match="pairing 'nearest', seed 1 has no baseline of its seed"):
        comparison(base, curve("nearest", 1, [2, 1], [1, 2]))
    with pytest.raises(ValueError, match="is not evaluated at steps"):
        comparison(base, curve("nearest", 0, [2, 1], [1, 3]))
    with pytest.raises(ValueError, match=r"scores \[5\] at step 1"):
        comparison(base, curve("nearest", 0, [2, 1], [1, 2], (5,)))
    with pytest.raises(ValueError, match="baseline 'independent' of seed 0 diverged"):
        comparison(curve("independent", 0, [math.inf, math.nan], [1, 2]))


def test_a_curve_must_make_sense() -> None:
    with pytest.raises(ValueError, match="has steps"):
        curve("independent", 0, [2, 1], [2, 2])
    with pytest.raises(ValueError, match="has no points"):
        curve("independent", 0, [], [])
    with pytest.raises(ValueError, match=r"Curve\.pairing"):
        curve("line\nbreak", 0, [1], [1])
    good = curve("independent", 0, [2, 1], [1, 2])
    with pytest.raises(ValueError, match=r"pairing_share 1\.2"):
        dataclasses.replace(good, pairing_share=1.2)
    for pace in (math.nan, math.inf, -1.0):
        with pytest.raises(ValueError, match="has seconds_per_step"):
            dataclasses.replace(good, seconds_per_step=pace)
    with pytest.raises(ValueError, match="has seconds"):
        Curve("independent", 0, (Point(1, math.inf, {}),), 0, 0.1)
    with pytest.raises(ValueError, match="has seconds"):
        dataclasses.replace(
            good, points=tuple(dataclasses.replace(p, seconds=-p.seconds) for p in good.points)
        )
