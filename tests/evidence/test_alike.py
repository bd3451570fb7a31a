"""Comparisons that differ in one thing are set side by side, and no others."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from immiscible_diffusion.evidence import Result, document, read_results
from immiscible_diffusion.evidence.alike import lengths, predictions, windows
from immiscible_diffusion.evidence.best import best_of_objectives
from immiscible_diffusion.evidence.effects import effects, percent_change
from immiscible_diffusion.evidence.headline import changes_table, headline

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def flow() -> Result:
    return read_results(ROOT / "results")["digits-flow"]


def other(result: Result, name: str, scale: float = 1.0, **settings: Any) -> Result:
    """The result under another name and settings, its paired runs' distances times `scale`."""
    before = result.comparison
    curves = tuple(
        curve
        if curve.pairing == before.baseline
        else dataclasses.replace(
            curve,
            points=tuple(
                dataclasses.replace(
                    point,
                    scores={
                        n: dataclasses.replace(score, frechet=score.frechet * scale)
                        for n, score in point.scores.items()
                    },
                )
                for point in curve.points
            ),
        )
        for curve in before.curves
    )
    comparison = dataclasses.replace(before, curves=curves, settings={**before.settings, **settings})
    return dataclasses.replace(result, name=name, comparison=comparison)


def named(*results: Result) -> dict[str, Result]:
    return {result.name: result for result in results}


def test_objectives_are_compared_where_all_else_is_equal(flow: Result) -> None:
    edm = other(flow, "digits-edm", objective={"kind": "EDM", "sigma_data": 0.5}, sampler="euler", points=1)
    page = predictions(named(flow, edm))
    assert "| [digits-flow](#digits-flow) (5 → 50) | noise − image |" in page
    assert "| [digits-edm](#digits-edm) (5 → 50) | image where noise is high" in page
    assert predictions(named(flow, dataclasses.replace(edm, comparison=flow.comparison))) != ""
    assert predictions(named(flow, other(edm, "digits-edm", learning_rate=0.1))) == ""
    assert predictions(named(flow)) == ""


def test_what_diffusion_predicts_is_said(flow: Result) -> None:
    for prediction, words in (("epsilon", "| noise |"), ("v", "| √ᾱ noise − √(1 − ᾱ) image |")):
        objective = {"kind": "Diffusion", "prediction": prediction}
        assert words in predictions(named(flow, other(flow, "digits-ddim", objective=objective)))


def test_the_times_and_levels_of_training_are_said(flow: Result) -> None:
    usual = {"kind": "EDM", "log_mean": -1.2, "log_std": 1.2}
    edm = other(flow, "digits-edm", objective=usual)
    logit = other(flow, "logit", objective={"kind": "FlowMatching", "logit_mean": 1.0, "logit_std": 1.0})
    page = predictions(named(edm, logit))
    assert ", trained at ln σ ~ N(−1.2, 1.2²) |" in page and ", trained at logit t ~ N(1, 1²) |" in page


def test_one_evaluation_is_not_set_beside_five(flow: Result) -> None:
    consistency = read_results(ROOT / "results")["digits-consistency"]
    alike = {**flow.comparison.settings, "objective": consistency.comparison.settings["objective"]}
    del alike["name"]
    assert predictions(named(flow, other(consistency, "digits-consistency", **alike))) == ""
    assert predictions(named(flow, other(flow, "digits-consistency", **alike))) != ""


def test_only_pairings_that_most_have_are_columns(flow: Result) -> None:
    few = tuple(c for c in flow.comparison.curves if c.pairing in ("independent", "assigned"))
    edm = other(flow, "digits-edm", objective={"kind": "EDM"})
    edm = dataclasses.replace(edm, comparison=dataclasses.replace(edm.comparison, curves=few))
    head = next(line for line in predictions(named(flow, edm)).splitlines() if "predicts" in line[2:40])
    assert head == "| comparison (evaluations) | predicts | vanilla | `assigned` |"
    several = named(
        flow, other(flow, "digits-ddim", objective={"kind": "FlowMatching", "logit_mean": None}), edm
    )
    row = next(line for line in predictions(several).splitlines() if line.startswith("| [digits-edm]"))
    assert row.count("|  |") > 3  # what it alone lacks is left open


@pytest.mark.parametrize(
    ("answer", "changed", "words"),
    [
        (lengths, {"steps": 5000, "points": 5}, ("after 1,000", "after 5,000")),
        # A result that was made before there were windows had windows of one.
        (windows, {"pairing_window": 16}, ("batch by batch", "in pools of 16 batches")),
    ],
)
def test_what_differs_in_one_setting_is_set_side_by_side(
    flow: Result,
    answer: Callable[[dict[str, Result]], str],
    changed: dict[str, int],
    words: tuple[str, str],
) -> None:
    more = other(flow, "digits-flow-more", 0.5, **changed)
    settings = {k: v for k, v in flow.comparison.settings.items() if k != "pairing_window"}
    flow = dataclasses.replace(flow, comparison=dataclasses.replace(flow.comparison, settings=settings))
    lines = answer(named(more, flow)).splitlines()
    (said,) = [line for line in lines if "`assigned`:" in line]
    by = {
        (result.name, e.evaluations): percent_change(e)
        for result in (flow, more)
        for e in effects(result)
        if e.pairing == "assigned"
    }
    assert said == (
        f"- digits-flow, `assigned`: {by['digits-flow', 5]} → {by['digits-flow', 50]} {words[0]}, "
        f"{by['digits-flow-more', 5]} → {by['digits-flow-more', 50]} {words[1]}"
    )
    assert by["digits-flow", 50] != by["digits-flow-more", 50]
    assert answer(named(flow)) == ""
    assert answer(named(flow, other(more, "digits-flow-more", learning_rate=0.1))) == ""


def test_a_question_of_its_own_is_no_part_of_the_summary(flow: Result) -> None:
    small = other(flow, "digits-small-batch", batch_size=16)
    page = document(named(flow, small), ROOT / "benchmarks" / "results")
    summary = page.partition("## What each pairing changes")[0]
    assert "digits-small-batch" in page and "digits-small-batch" not in summary
    assert summary == document(named(flow), ROOT / "benchmarks" / "results").partition("## What each")[0]


def test_every_column_is_the_least_of_as_many_objectives(flow: Result) -> None:
    assigned, nearest = ["assigned"], ["assigned", "nearest:8"]
    edm = other(flow, "digits-edm", 0.01, objective={"kind": "EDM"})
    v = other(flow, "digits-ddim-v", 0.5, objective={"kind": "Diffusion", "prediction": "v"})
    rows = [row.split("|") for row in best_of_objectives(named(flow, edm, v), assigned).splitlines()[2:]]
    assert [row[1].strip() for row in rows] == [
        f"digits, 1,000 steps (3 objectives), {n}" for n in (5, 20, 50)
    ]
    # The paired one is the hundredth that was made up; vanilla is the same under all.
    cells = [[re.fullmatch(r" ([\d.]+) ± [\d.]+ \(([a-z-]+)\) ", cell) for cell in row[2:4]] for row in rows]
    for vanilla, paired in cells:
        assert vanilla and paired and paired[2] == "edm" and float(paired[1]) < 0.1 * float(vanilla[1])
    few = tuple(c for c in edm.comparison.curves if c.pairing in ("independent", "assigned"))
    edm = dataclasses.replace(edm, comparison=dataclasses.replace(edm.comparison, curves=few))
    assert "(3 objectives)" in best_of_objectives(named(flow, edm, v), assigned)
    assert "(2 objectives)" in best_of_objectives(named(flow, edm, v), nearest)
    for alone in (named(edm), named(edm, dataclasses.replace(edm, name="digits-edm-twice"))):
        rows = best_of_objectives(alone, nearest).splitlines()[2:]
        assert len(rows) == 3 and all(row.endswith(") |  |") for row in rows)  # what ran, nothing for nearest
    first = tuple(curve for curve in flow.comparison.curves if curve.seed == 0)
    single = dataclasses.replace(flow, comparison=dataclasses.replace(flow.comparison, curves=first))
    assert best_of_objectives(named(single), assigned) == ""
    vanilla = tuple(curve for curve in flow.comparison.curves if curve.pairing == "independent")
    unpaired = dataclasses.replace(flow, comparison=dataclasses.replace(flow.comparison, curves=vanilla))
    assert best_of_objectives(named(unpaired), assigned) == ""


def test_longer_training_has_rows_of_its_own(flow: Result) -> None:
    longer = other(flow, "digits-flow-long", 0.5, steps=5000)
    rows = best_of_objectives(named(flow, longer), ["assigned"]).splitlines()[2:]
    lengths = [row.split(" steps (1 objective)")[0].removeprefix("| digits, ") for row in rows]
    assert lengths == ["1,000"] * 3 + ["5,000"] * 3


def test_the_headline_counts_what_stands_out(flow: Result) -> None:
    better = other(flow, "better", 0.3)
    worse = other(flow, "worse", 10.0)
    text = headline(named(better, worse))
    verdicts = [line for line in text.splitlines() if line.startswith("- `")]
    assert len(verdicts) == 3
    for verdict in verdicts:
        for count in ("few", "many"):
            assert f"at {count} evaluations better in 1 and worse in 1 of 2 comparisons (median " in verdict
        # A third of what it was is below vanilla's best at the first measurement, ten times it never is.
        assert verdict.endswith("vanilla's best distance is reached in fewer steps in 1 (4.00×)"), verdict
    assert headline(named(worse)).count("is reached in fewer steps in none") == 3
    rows = [row.split("|") for row in changes_table(named(better, worse)).splitlines()[4:]]
    assert [row[1].strip() for row in rows] == [f"[{name}](#{name}) (5 → 50)" for name in ("better", "worse")]
    assert rows[0][2] == rows[1][2] and rows[0][3] != rows[1][3]


def test_the_headline_leaves_out_labels_image_stds_and_single_seeds(flow: Result) -> None:
    conditional = other(flow, "conditional", class_conditional=True)
    assert "Nothing has been measured" in headline(named(conditional))
    assert headline(named(flow, conditional)) == headline(named(flow))
    assert changes_table(named(conditional)) == ""
    first = tuple(curve for curve in flow.comparison.curves if curve.seed == 0)
    single = dataclasses.replace(flow.comparison, curves=first)
    assert "Nothing has been measured" in headline(named(dataclasses.replace(flow, comparison=single)))
