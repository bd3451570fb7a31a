"""`immiscible analyse` and `immiscible gallery` on trained runs, as a person gives them."""

import sys
from pathlib import Path

import pytest

from immiscible_diffusion.cli.main import main


def immiscible(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["immiscible", *arguments])
    main()


def test_stability_and_denoising_of_two_runs(
    run_folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [str(run_folders["independent-0"]), str(run_folders["nearest:4-0"])]
    small = {
        "stability": ["--strengths", "0.1", "0.5", "--origins", "2", "--perturbations", "2"],
        "denoising": ["--count", "70", "--trajectories", "10"],
    }
    for question, options in small.items():
        out = ["--out", str(tmp_path), "--evaluations", "3", "--features", "pixels"]
        immiscible(monkeypatch, "analyse", question, *runs, *options, *out)
        assert (tmp_path / f"{question}.json").exists() and (tmp_path / f"{question}.png").exists()
    said = capsys.readouterr().out
    assert "95 % of images keep their class (probe(digits))" in said and "half-way independent" in said
    assert "stability-images-nearest-4.png" in said


def test_runs_that_do_not_match_are_one_error(
    run_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(run_folders["independent-0"]), str(run_folders["flow"])]
    for command in (["analyse", "denoising"], ["gallery"]):
        with pytest.raises(SystemExit, match="2"):
            immiscible(monkeypatch, *command, *runs)
        assert "error: runs" in capsys.readouterr().err


def test_the_gallery_asks_everything_once(
    run_folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["gallery", str(run_folders["flow"]), "--features", "pixels", "--out", str(tmp_path)]
    command += ["--evaluations", "3", "--count", "70", "--origins", "2"]
    immiscible(monkeypatch, *command)
    first = capsys.readouterr().out
    page = (tmp_path / "gallery.html").read_text()
    for question in ("stability", "denoising", "distance", "miscibility", "gaussianity", "choose-k"):
        assert f'<h2 id="{question}">' in page and f"{question}: " in first
    immiscible(monkeypatch, *command)
    assert capsys.readouterr().out.count(f": found in {tmp_path}") == 6
