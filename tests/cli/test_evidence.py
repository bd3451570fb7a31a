"""`immiscible evidence list` says what of the list is done."""

import dataclasses
from pathlib import Path

import pytest

from immiscible_diffusion.cli.evidence import show
from immiscible_diffusion.evidence import listed_comparisons, read_result, write_result

RESULTS = Path(__file__).resolve().parents[2] / "results"
NAME = "digits-edm-long"


def counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    show(folder)
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: " ".join(line.split()[1:4]) for line in lines}


def test_every_comparison_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = counted(tmp_path, capsys)
    assert shown == {listed.name: f"0 of {len(listed.runs())}" for listed in listed_comparisons()}


def test_only_what_is_listed_counts_as_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = read_result(RESULTS / f"{NAME}.json")
    curves = result.comparison.curves
    other = dataclasses.replace(curves[0], pairing="nearest:64:uncentred")  # of an older list
    for kept, done in ((curves, 9), ((*curves, other), 9), ((*curves[:-1], other), 8)):
        comparison = dataclasses.replace(result.comparison, curves=kept)
        write_result(dataclasses.replace(result, comparison=comparison), tmp_path)
        assert counted(tmp_path, capsys)[NAME] == f"{done} of 9"
