"""What experiments say of their small runs is what results/ hold."""

import re
from pathlib import Path

import pytest

from immiscible_diffusion.evidence import listed_comparisons, read_result
from immiscible_diffusion.evidence.effects import effects_by_pairing, percent_change
from immiscible_diffusion.experiments import experiment_notes

RESULTS = Path(__file__).resolve().parents[2] / "results"
RUN = re.compile(r"`immiscible evidence run (\S+)`")
CLAIM = re.compile(r"((?:assigned|nearest)[\w:]*) ([+−]\d+ ± \d+(?: / [+−]\d+ ± \d+)*) %")


@pytest.mark.parametrize("experiment", sorted({one.experiment.name for one in listed_comparisons()}))
def test_notes_quote_the_results(experiment: str) -> None:
    own = {one.name for one in listed_comparisons() if one.experiment.name == experiment}
    _, *parts = RUN.split(" ".join(experiment_notes(experiment).split()))
    assert parts, f"say what `immiscible evidence run` found, one of {', '.join(sorted(own))}"
    for name, words in zip(parts[::2], parts[1::2], strict=True):
        assert name in own
        found = effects_by_pairing(read_result(RESULTS / f"{name}.json"))
        claims = CLAIM.findall(words)
        assert claims, f"{experiment} names {name} and no pairing's change"
        for pairing, changes in claims:
            assert changes == " / ".join(percent_change(e).strip("*%").strip() for e in found[pairing])
