"""The command line as a person uses it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tests.forking import Command


def test_the_installed_command_is_this_one(tmp_path: Path) -> None:
    """The other tests fork a process that has imported it already."""
    installed = [str(Path(sys.executable).parent / "immiscible")]
    for command in (installed, [sys.executable, "-m", "immiscible_diffusion.cli"]):
        done = subprocess.run([*command, "trian"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 2 and "did you mean 'train'" in done.stderr


def test_train_sample_evaluate_resume(immiscible: Command, tmp_path: Path) -> None:
    train = (
        "train",
        "digits-ddim",
        "--pairing",
        "nearest",
        "--k",
        "8",
        "--steps",
        "30",
        "--batch-size",
        "64",
    )
    said = immiscible(*train, "--class-conditional", "True", "--sheet-every", "30", folder=tmp_path).stdout
    run = Path("runs") / "digits-ddim-nearest-8-seed0"
    assert "1,797 images of 1×8×8" in said and "Nearest(k=8, rule='l2', centre=tensor[1, 8, 8])" in said
    assert f"immiscible sample {run}" in said
    assert (tmp_path / run / "samples" / "step-00000030.png").exists()
    assert list((tmp_path / run).rglob("events.out.tfevents*"))
    lines = [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [20, 30] and lines[0]["images_per_second"] > 0

    immiscible(
        "sample", str(run), "--count", "6", "--evaluations", "5", "--classes", "3", "7", folder=tmp_path
    )
    assert Image.open(tmp_path / run / "samples-step30.png").size == (3 * 34 - 2, 2 * 34 - 2)
    immiscible("sample", str(run), "--count", "3", "--separate", "--out", "apart", folder=tmp_path)
    assert sorted(path.name for path in (tmp_path / "apart").iterdir()) == [f"{n:06d}.png" for n in range(3)]
    assert Image.open(tmp_path / "apart" / "000000.png").size == (8, 8)

    said = immiscible(
        "evaluate", str(run), "--evaluations", "2", "5", "--count", "80", folder=tmp_path
    ).stdout
    assert "probe(digits)" in said and "FID" not in said
    result = json.loads((tmp_path / run / "evaluation.json").read_text())
    assert set(result["evaluations"]) == {"2", "5"} and result["step"] == 30

    refused = immiscible(*train, "--class-conditional", "True", folder=tmp_path, ok=False)
    assert refused.returncode == 2 and "add --resume" in refused.stderr and "Traceback" not in refused.stderr
    longer = [argument if argument != "30" else "40" for argument in train]
    said = immiscible(*longer, "--class-conditional", "True", "--resume", folder=tmp_path).stdout
    assert "Going on from step 30" in said


def test_compare_writes_its_report_and_goes_on(immiscible: Command, tmp_path: Path) -> None:
    command = [
        "compare",
        "digits-flow",
        "--pairings",
        "independent",
        "nearest:4:uncentred",
        "assigned",
        "--seeds",
        "2",
        "--steps",
        "6",
    ]
    command += [
        "--batch-size",
        "64",
        "--points",
        "2",
        "--count",
        "70",
        "--evaluations",
        "2",
        "4",
        "--judged-at",
        "4",
        "--out",
        "both",
    ]
    said = immiscible(*command, folder=tmp_path).stdout
    assert "6/6 assigned seed 1: step 6/6" in said
    for name in ("report.html", "results.json", "curves.png", "samples.png", "speedup.png"):
        assert (tmp_path / "both" / name).stat().st_size > 1000
    again = immiscible(*command, folder=tmp_path).stdout
    assert again.count("done before") == 6


def test_digits_are_edm_and_ddim_in_one_page(immiscible: Command, tmp_path: Path) -> None:
    command = (
        "compare",
        "digits",
        "--steps",
        "4",
        "--seeds",
        "1",
        "--count",
        "70",
        "--points",
        "1",
        "--jobs",
        "1",
    )
    said = immiscible(*command, "--out", "runs/demo", folder=tmp_path).stdout
    page = (tmp_path / "runs" / "demo" / "report.html").read_text()
    assert "digits-edm" in page and "digits-ddim" in page and "Report: runs/demo/report.html" in said
    assert "immiscible demo runs/demo" in said
    for name in ("nearest:8:uncentred", "assigned", "assigned:above"):
        assert name in page


@pytest.mark.parametrize("folder", ["cifar10", "fashion_mnist"])
def test_training_on_local_parquet(
    immiscible: Command, shared_data: Path, tmp_path: Path, folder: str
) -> None:
    name = {"cifar10": "cifar10-ddim", "fashion_mnist": "fashion-mnist-flow"}[folder]
    command = ["train", name, "--data", str(shared_data / folder), "--network", "unet-small", "--rows", "64"]
    command += [
        "--steps",
        "2",
        "--batch-size",
        "8",
        "--sheet-every",
        "0",
        "--out",
        "run",
        "--precision",
        "bf16",
    ]
    immiscible(*command, folder=tmp_path)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"] == str((shared_data / folder).resolve()) and config["precision"] == "bf16"
    immiscible("sample", "run", "--count", "2", "--evaluations", "2", folder=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trian", "digits-ddim"), "did you mean 'train'"),
        (("train", "digit-ddim"), "did you mean 'digits-ddim'"),
        (("train", "digits-ddim", "--pairing", "nearst"), "did you mean 'nearest'"),
        (("train", "digits-ddim", "--k", "0"), "k must be a finite number of candidates from 1 up, got 0"),
        (("train", "digits-ddim", "--rule", "l3"), "did you mean 'l2'"),
        (
            ("train", "digits-ddim", "--pairing", "assigned", "--k", "4"),
            "unknown option in pairing 'assigned:4'",
        ),
        (("train", "digits-ddim", "--network", "unet-tinny"), "did you mean 'unet-tiny'"),
        (("train", "digits-ddim", "--data", "digitz"), "did you mean 'digits'"),
        (("train", "digits-ddim", "--batch-sise", "4"), "--batch-size"),
        (("sample", "nowhere"), "no run folder"),
        (("compare", "digits-flow", "--pairings", "independent"), "two or more different ones"),
    ],
)
def test_wrong_words_get_a_suggestion(
    immiscible: Command, arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = immiscible(*arguments, folder=tmp_path, ok=False)
    assert done.returncode == 2 and words in done.stderr + done.stdout
    assert "Traceback" not in done.stderr and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", ["train", "sample", "evaluate", "compare", "demo", "export", "bench"])
def test_help_explains_every_option(immiscible: Command, command: str, tmp_path: Path) -> None:
    said = immiscible(command, "--help", folder=tmp_path).stdout
    rows = [line.strip("│ ") for line in said.splitlines() if line.startswith("│")]
    for position, row in enumerate(rows):
        if row.startswith("--") and len(row.split()) <= 2:  # the text is on the next line
            assert position + 1 < len(rows) and not rows[position + 1].startswith("--"), row


def test_bench_writes_its_table(immiscible: Command, tmp_path: Path) -> None:
    command = [
        "bench",
        "pairing",
        "--sizes",
        "CIFAR-10",
        "--batches",
        "4",
        "--repeats",
        "2",
        "--seconds",
        "1",
    ]
    immiscible(*command, "--out", "timed", folder=tmp_path)
    assert {path.name for path in (tmp_path / "timed").iterdir()} == {
        "pairing.json",
        "pairing.md",
        "pairing.png",
    }
    table = (tmp_path / "timed" / "pairing.md").read_text()
    assert "Algorithm 1" in table


def test_the_core_works_without_the_extras(tmp_path: Path) -> None:
    """What `pip install immiscible-diffusion` alone gives: torch, scipy, numpy and the pairings."""
    script = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        extras = "diffusers accelerate datasets PIL safetensors sklearn tyro torchmetrics matplotlib jinja2"
        if name.split(".")[0] in extras.split() + ["rich", "tqdm", "tensorboard"]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import torch, immiscible_diffusion
from immiscible_diffusion import Assigned, Nearest
latents = torch.randn(4, 3, 8, 8)
for pairing in (Nearest(k=8), Assigned()):
    assert pairing(latents).shape == latents.shape
try:
    immiscible_diffusion.Diffusion
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pip install 'immiscible-diffusion[train]'" in done.stdout
