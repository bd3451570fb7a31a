"""The page says what the results say, and nothing else."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from immiscible_diffusion.comparison import comparison_from_json, comparison_to_json
from immiscible_diffusion.evidence import (
    Result,
    document,
    read_results,
    with_headline,
    write_document,
    write_result,
)
from immiscible_diffusion.evidence.effects import effects, percent_change
from immiscible_diffusion.evidence.paper import paper_rows

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks" / "results"


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    return read_results(ROOT / "results")


def test_the_committed_page_is_what_the_committed_results_give(results: dict[str, Result]) -> None:
    """Run `immiscible evidence write` where this fails."""
    assert document(results, BENCHMARKS) == (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def test_the_readme_has_the_headline_that_the_results_give(results: dict[str, Result]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_headline(readme, results) == readme
    assert with_headline(readme, {}) != readme
    with pytest.raises(ValueError, match="the README lacks <!-- headline -->"):
        with_headline("no marks", results)


def test_every_picture_and_link_is_there(results: dict[str, Result]) -> None:
    page = document(results, BENCHMARKS)
    for link in re.findall(r"\]\(([^)#]+)\)", page):
        assert (ROOT / "docs" / link).exists(), link
    headings = {heading.strip() for heading in re.findall(r"^### (.*)$", page, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= headings


def test_a_change_is_against_vanilla_of_the_same_seed(results: dict[str, Result]) -> None:
    result = results["digits-flow"]
    found = {(e.pairing, e.evaluations): e for e in effects(result)}
    by = {(c.pairing, c.seed): c.points[-1].scores[20].frechet for c in result.comparison.curves}
    seeds = sorted(seed for pairing, seed in by if pairing == "nearest:8")
    vanilla = np.mean([value for (pairing, _), value in by.items() if pairing == "independent"])
    wanted = [(by["nearest:8", seed] - by["independent", seed]) / vanilla for seed in seeds]
    assert found["nearest:8", 20].change.per_seed == pytest.approx(wanted)


def test_another_number_gives_another_page(results: dict[str, Result], tmp_path: Path) -> None:
    """Halve one pairing's distances: its cells, and the page, change."""
    result = results["digits-flow"]
    text = comparison_to_json(result.comparison)
    comparison = comparison_from_json(text)
    curves = tuple(
        dataclasses.replace(
            curve,
            points=tuple(
                dataclasses.replace(
                    point,
                    scores={
                        n: dataclasses.replace(score, frechet=score.frechet / 2)
                        for n, score in point.scores.items()
                    },
                )
                for point in curve.points
            ),
        )
        if curve.pairing == "nearest:8"
        else curve
        for curve in comparison.curves
    )
    changed = dataclasses.replace(result, comparison=dataclasses.replace(comparison, curves=curves))
    before = {(e.pairing, e.evaluations): percent_change(e) for e in effects(result)}
    after = {(e.pairing, e.evaluations): percent_change(e) for e in effects(changed)}
    differing = {pairing for pairing, n in before if before[pairing, n] != after[pairing, n]}
    assert differing == {"nearest:8"}
    write_result(changed, tmp_path)
    path = write_document(read_results(tmp_path), BENCHMARKS, tmp_path / "docs")
    assert path.read_text(encoding="utf-8") == document({"digits-flow": changed}, BENCHMARKS)
    assert (tmp_path / "docs" / "images" / "results-digits-flow.png").stat().st_size > 5000


def test_without_results_the_page_says_so() -> None:
    assert "Nothing has been measured with 3 seeds yet." in document({}, BENCHMARKS)


def test_every_machine_that_made_a_run_is_named(results: dict[str, Result]) -> None:
    result = results["digits-edm"]
    first, *others = result.runs
    moved = dataclasses.replace(first, hardware="an abacus (GPU: none)")
    page = document({"digits-edm": dataclasses.replace(result, runs=(moved, *others))}, BENCHMARKS)
    assert f"Made on an abacus (GPU: none) and {others[0].hardware}, torch " in page


def test_an_analysis_is_quoted_in_its_own_words(results: dict[str, Result], tmp_path: Path) -> None:
    """A row of the paper says what the finding says, and so it says where none was kept."""
    kept = tmp_path / "results"
    shutil.copytree(BENCHMARKS, kept)
    found = json.loads((kept / "analyses" / "distance.json").read_text(encoding="utf-8"))
    row = next(row for row in paper_rows(results, kept) if "SD latents" in row.what)
    assert found["sentence"] in row.ours and "analyses/distance.json" in row.ours
    (kept / "analyses" / "distance.json").unlink()
    row = next(row for row in paper_rows(results, kept) if "SD latents" in row.what)
    assert row.ours == "[measured, no JSON kept](analyses.md)"
