"""`immiscible analyse` as a person uses it."""

import json
import sys
from pathlib import Path

import pytest

from immiscible_diffusion.analysis import read_findings
from immiscible_diffusion.cli import main


def analyse(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["immiscible", "analyse", *words])
    main()


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("distance", ["--k", "1", "8", "--batches", "32"]),
        (
            "gaussianity",
            ["--pairings", "independent", "nearest:8:uncentred", "--k", "2", "8", "--batch", "64"],
        ),
        ("choose-k", ["--prediction", "flow", "--k", "1", "2", "4", "8", "16", "--samples", "20"]),
    ],
)
def test_a_question_is_told_and_written(
    question: str,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    analyse(monkeypatch, tmp_path, question, "--rows", "200", *words)
    (found,) = read_findings(tmp_path / "runs" / "analyse" / "digits")
    said = capsys.readouterr().out
    assert found.question == question and found.sentence in said and f"digits/{question}.png" in said
    assert all(warning in said for warning in found.warnings)
    assert (
        json.loads((tmp_path / "runs/analyse/digits" / f"{question}.json").read_text())["settings"]["images"]
        == 200
    )


def test_miscibility_of_latents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = (
        "--points 40 --clusters 4 --batch 16 --samples 10 --times 4 --shown 2 --pairings nearest:8 assigned"
    )
    data = "--data gaussian:2x4x4 --rows 100 --seed 3 --out here"
    analyse(monkeypatch, tmp_path, "miscibility", *words.split(), *data.split())
    (found,) = read_findings(tmp_path / "here")
    assert found.settings["data"] == "gaussian:2x4x4" and found.settings["seed"] == 3
    assert "Noise clusters of two images are apart by" in capsys.readouterr().out


def test_time_is_table_5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    analyse(monkeypatch, tmp_path, "time", "--batches", "32", "64", "--seconds", "0.2", "--repeats", "2")
    (found,) = read_findings(tmp_path)
    assert set(found.values["milliseconds"]["our nearest, k=8"]) == {"32", "64"}
    assert "the authors' assignment" in capsys.readouterr().out


def test_an_unknown_question_is_answered_by_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stopped:
        analyse(monkeypatch, tmp_path, "gausianity")
    assert stopped.value.code == 2
    assert "unknown question 'gausianity'; did you mean 'gaussianity'?" in capsys.readouterr().err
