"""The README's commands run as printed, on less data where they would take long."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.forking import Command

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
# What is added to a command so that it ends in seconds; the later of two equal options counts.
SHORTER = {
    "train": ["--steps", "4", "--batch-size", "16", "--rows", "64"],
    "sample": [],
    "evaluate": ["--count", "70", "--evaluations", "2"],
    "compare": [
        "--steps",
        "4",
        "--batch-size",
        "16",
        "--count",
        "70",
        "--points",
        "1",
        "--seeds",
        "2",
        "--jobs",
        "1",
    ],
    "edit": ["--count", "70", "--evaluations", "2", "--resampling", "1"],
    "export": [],
    "analyse": ["--rows", "100"],
    "run": ["--max_train_steps", "8", "--num_workers", "1"],
    "doctor": [],
}


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [text for kind, text in fenced if kind == language]


def commands() -> list[str]:
    lines = "\n".join(blocks("bash")).splitlines()
    return [line for line in lines if line.startswith("immiscible ")]


def test_every_command_runs_in_the_order_printed(immiscible: Command, tmp_path: Path) -> None:
    assert len(commands()) >= 6
    (tmp_path / "shared").symlink_to(ROOT.parent / "shared")
    (tmp_path / "checkout").mkdir()
    script = ROOT / "tests" / "interception" / "diffusers_style.py"
    (tmp_path / "checkout" / "train_unconditional.py").write_text(script.read_text())
    for command in commands():
        _, name, *rest = shlex.split(command)
        if "../shared" in command and not (ROOT.parent / "shared" / "data").exists():
            continue  # said by the tests of the data itself
        out = ["--out", f"runs/{name}-{rest[0]}"] if "--data" in rest and name != "doctor" else []
        immiscible(name, *rest, *SHORTER[name], *out, folder=tmp_path / "checkout")


def test_the_one_line_runs(tmp_path: Path) -> None:
    (first, *_) = blocks("python")
    subprocess.run([sys.executable, "-c", first], cwd=tmp_path, check=True, timeout=120)


def test_every_path_in_the_tree_and_the_text_is_there() -> None:
    (tree,) = blocks("")
    folders = [ROOT]  # by depth
    for line in tree.splitlines():
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2
        path = folders[depth] / name
        assert path.exists(), path
        folders[depth + 1 :] = [path]
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_knows_the_two_commands(target: str) -> None:
    said = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"demo": "immiscible compare digits", "test": "pytest"}[target] in said


def test_contributing_example_is_a_pairing(tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    check = "\nfrom immiscible_diffusion import Pairing\nclean = torch.ones(2, 3)\n"
    check += "assert isinstance(Leaning(), Pairing) and Leaning(1.0)(clean).shape == clean.shape\n"
    script = tmp_path / "leaning.py"
    script.write_text(example + check)
    subprocess.run([sys.executable, str(script)], check=True, timeout=120)
