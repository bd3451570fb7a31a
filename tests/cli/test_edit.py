"""`immiscible edit` as a person uses it, in this process because starting another one costs seconds."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from immiscible_diffusion.cli import main
from immiscible_diffusion.data.images import load_images
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.runs.images import advance, open_run


def trained(folder: Path, **changes: object) -> Path:
    experiment = dataclasses.replace(named_experiment("digits-flow"), steps=2, batch_size=32, **changes)
    for _ in advance(open_run(experiment, folder, log_with="none"), sheet_every=0):
        pass
    return folder


def edit(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["immiscible", "edit", *map(str, arguments)])
    main()


def test_edit_writes_images_scores_and_a_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path / "a", class_conditional=True)
    other = trained(tmp_path / "b", class_conditional=True, pairing="independent")
    few = ("--count", 70, "--evaluations", 2, "--resampling", 2, "--features", "pixels", "--rows", 3)
    edit(run, "outpaint", "--box", 2, 3, 6, 7, "--against", other, *few, monkeypatch=monkeypatch)
    said = capsys.readouterr().out
    assert "75% of the pixels to paint" in said and "features pixels(digits)" in said and "FID" not in said
    folder = run / "outpaint-step2"
    spread = np.linspace(0, 1796, 70).round().astype(int)  # data may be sorted
    wanted = load_images("digits").pixels[spread, 0].numpy()
    files = sorted((folder / "images").iterdir())
    assert len(files) == 70
    edited = np.stack([np.asarray(Image.open(file).convert("L")) for file in files])
    assert (edited[:, 2:6, 3:7] == wanted[:, 2:6, 3:7]).all() and (edited != wanted).any()
    result = json.loads((folder / "edits.json").read_text())
    assert [runs["pairing"] for runs in result["runs"].values()] == [
        "assigned:above",
        "independent",
    ]
    hole = np.ones((8, 8), bool)
    hole[2:6, 3:7] = False
    error = ((edited - wanted.astype(float))[:, hole] ** 2).mean()
    assert result["runs"][str(run)]["psnr"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
    assert Image.open(folder / "sheet.png").size == (4 * 66 - 2, 3 * 66 - 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inpaint", "--centre", "0.5", "--box", "0", "0", "2", "2"], "give one of them"),
        (["outpaint", "--box", "0", "0", "8", "8"], "nothing is left to outpaint"),
        (["inpaint", "--count", "1"], "--count must be 2 or more"),
        (["inpaint", "--images", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_explained(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = trained(tmp_path / "a")
    with pytest.raises(SystemExit):
        edit(run, *arguments, monkeypatch=monkeypatch)
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said
    assert not list(run.glob("*paint*"))
