"""What the page says of pairing above a noise level, from results whose pairings are renamed."""

import dataclasses
from pathlib import Path

import pytest

from immiscible_diffusion.evidence import Result, read_results
from immiscible_diffusion.evidence.answers import answers
from immiscible_diffusion.evidence.effects import effects, percent, percent_change

ROOT = Path(__file__).resolve().parents[2]
LEVELS = {
    "assigned": "assigned",
    "nearest:8": "assigned:above",
    "nearest:8:coarse2": "assigned:above10",
    "nearest:4": "assigned:above2",
}


@pytest.fixture(scope="module")
def levelled() -> Result:
    """Digits' flow matching as if some of its pairings had been others."""
    result = read_results(ROOT / "results")["digits-flow"]
    names = {"independent": "independent", **LEVELS}
    curves = tuple(
        dataclasses.replace(curve, pairing=names[curve.pairing])
        for curve in result.comparison.curves
        if curve.pairing in names
    )
    runs = tuple(
        dataclasses.replace(run, pairing=names[run.pairing]) for run in result.runs if run.pairing in names
    )
    comparison = dataclasses.replace(result.comparison, curves=curves)
    return dataclasses.replace(result, name="a", comparison=comparison, runs=runs, again=())


def test_levels_are_told_in_their_order(levelled: Result) -> None:
    changed = {e.pairing: percent_change(e) for e in effects(levelled) if e.evaluations == 50}
    (line,) = [line for line in answers({"a": levelled}).splitlines() if "level measured on the data" in line]
    assert line == (
        f"- a, at 50: {changed['assigned:above']} above the level measured on the data; "
        f"{changed['assigned:above2']} above 2, {changed['assigned:above10']} above 10"
    )


def test_it_is_set_beside_pairing_everywhere(levelled: Result) -> None:
    (line,) = [
        line
        for line in answers({"a": levelled}).splitlines()
        if "`assigned:above` " in line and "- a" in line
    ]
    for pairing in ("assigned", "assigned:above"):
        values = [percent(e.change.value) for e in effects(levelled) if e.pairing == pairing]
        assert f"`{pairing}` {' / '.join(values)}" in line


def test_one_level_is_no_answer(levelled: Result) -> None:
    few = tuple(c for c in levelled.comparison.curves if c.pairing != "assigned:above10")
    single = dataclasses.replace(levelled, comparison=dataclasses.replace(levelled.comparison, curves=few))
    assert "How high must noise be" not in answers({"a": single})
