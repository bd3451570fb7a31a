"""Every command of docs/stable_diffusion.md runs, in the order printed, on little of the real data."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from diffusers import DiffusionPipeline
from tests.conftest import SHARED

from immiscible_diffusion.cli import main

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "stable_diffusion.md"
RESNET = ["--features", "resnet", "--weights", "../shared/weights/cifar10_resnet20-12fca82f.th"]
# What is added to a command so that it ends in seconds; the later of two equal options counts.
SHORTER = {
    "train": [
        "--steps",
        "2",
        "--batch-size",
        "8",
        "--accumulation",
        "1",
        "--rows",
        "16",
        "--sheet-every",
        "0",
    ],
    "sample": ["--count", "2", "--evaluations", "2"],
    "evaluate": ["--count", "16", "--evaluations", "2", *RESNET],
    "export": [],
    "edit": ["--count", "8", "--evaluations", "2", "--resampling", "1", *RESNET],
    "compare": [
        "--steps",
        "2",
        "--batch-size",
        "8",
        "--rows",
        "16",
        "--count",
        "16",
        "--points",
        "1",
        *RESNET,
    ]
    + ["--evaluations", "2", "--judged-at", "2", "--seeds", "1", "--jobs", "1"],
}


def commands() -> list[str]:
    fenced = re.findall(r"^```bash\n(.*?)^```$", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [line for line in "\n".join(fenced).splitlines() if line.startswith("immiscible ")]


def test_every_command_runs_in_the_order_printed(
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "shared").symlink_to(SHARED)
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    said = {}
    for number, command in enumerate(commands()):
        _, name, *rest = shlex.split(command)
        out = ["--out", f"runs/{number}"] if number and name == "train" and "--out" not in rest else []
        monkeypatch.setattr(sys, "argv", ["immiscible", name, *rest, *SHORTER[name], *out])
        try:
            main()
        except SystemExit as stopped:
            if stopped.code:
                pytest.fail(f"{command}\n{capsys.readouterr()}")
        said[command] = capsys.readouterr().out
    assert len(said) >= 10
    assert any("LoRA of rank 8" in text for text in said.values())
    assert any("guidance 3" in text and "resnet20 at 32×32" in text for text in said.values())
    assert any("4 network evaluations each, guidance 5" in text for text in said.values())
    assert Path("runs/compare-tiny-imagenet-latent/report.html").exists()
    for task in ("inpaint", "outpaint"):
        assert Path(f"runs/emoji/{task}-seed0/sheet.png").exists()
    assert type(DiffusionPipeline.from_pretrained("runs/pipeline")).__name__ == "StableDiffusionPipeline"
    for command, refusal in (
        ("sample runs/fine-tuned --classes 3", "--classes does not apply to a text-to-image model"),
        ("train digits-flow --lora-rank 3", "--lora-rank does not apply to digits-flow; leave it out"),
        ("train tiny-imagenet-latent --image-std 2", "--image-std does not apply to tiny-imagenet-latent"),
    ):
        monkeypatch.setattr(sys, "argv", ["immiscible", *command.split()])
        with pytest.raises(SystemExit):
            main()
        assert refusal in capsys.readouterr().err
