"""`immiscible run` and `immiscible doctor` as a person uses them."""

import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from immiscible_diffusion import Nearest
from immiscible_diffusion.cli.main import main
from immiscible_diffusion.cli.scripts import split_at_script

SCRIPT = Path(__file__).with_name("diffusers_style.py")


def immiscible(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str]:
    """Run the command in this process; returns its exit code and all it said."""
    monkeypatch.setattr(sys, "argv", ["immiscible", *map(str, words)])
    AcceleratorState._reset_state(reset_partial_state=True)  # one a process, says Accelerate
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.mark.parametrize(
    "settings",
    [
        ("--num_workers", "1"),
        ("--mixed_precision", "bf16", "--prediction_type", "v_prediction"),
        ("--noise_offset", "0.1", "--input_perturbation", "0.1"),
        ("--train_batch_size", "1", "--max_train_steps", "64", "--latents"),
    ],
)
def test_a_diffusers_style_script_is_paired_unmodified(
    settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (
        () if "--train_batch_size" in settings else ("--train_batch_size", "128", "--max_train_steps", "3")
    )
    if "--num_workers" not in settings and "--train_batch_size" not in settings:
        # The augmentation then runs in this process, and is a second candidate.
        code, said = immiscible(monkeypatch, capsys, "run", SCRIPT, *options, *settings)
        assert code == 2 and "two draws of noise" in said, said
    line = 1 + SCRIPT.read_text().splitlines().index("            noise = torch.randn_like(latents)")
    at = () if "--num_workers" in settings else ("--at", f"{SCRIPT.name}:{line}")
    code, said = immiscible(
        monkeypatch, capsys, "run", *at, "--pairing", "nearest", "--k", "8", SCRIPT, *options, *settings
    )
    assert code == 0 and re.search(r"loss \d", said), said
    assert re.search(rf"pairing: paired \d+ draws of noise .* at {SCRIPT}:{line}\n", said), said
    assert "HEALTHY" in said, said
    wanted = "v" if "v_prediction" in settings else "epsilon"
    if "--noise_offset" in settings:
        assert "this noise with something added" in said, said
    else:
        assert f"agrees with the noise: {wanted}" in said, said


def test_independent_noise_trains_to_the_same_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run` changes nothing but the noise, with a data loader's workers beside it."""
    script = tmp_path / "train.py"
    script.write_text("import torch\ntorch.manual_seed(0)\n" + SCRIPT.read_text())
    words = ("--num_workers", "1", "--max_train_steps", "3")

    def loss(said: str) -> str:
        (found,) = re.findall(r"loss ([\d.]+)", said)
        return str(found)

    monkeypatch.setattr(sys, "argv", [str(script), *words])
    runpy.run_path(str(script), run_name="__main__")
    plain = loss(capsys.readouterr().out)
    for pairing, same in (("independent", True), ("nearest:8", False)):
        _, said = immiscible(monkeypatch, capsys, "run", "--pairing", pairing, script, *words)
        assert (loss(said) == plain) == same


def test_nothing_found_is_said_and_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import sys, torch\nprint(sys.argv[1:])\nclean = torch.zeros(4, 1, 8, 8)\nclean.normal_()\n"
    )
    code, said = immiscible(monkeypatch, capsys, "run", script, "--pairing", "theirs", "x.py")
    assert code == 1 and "found no place" in said and "['--pairing', 'theirs', 'x.py']" in said, said


def test_the_script_s_own_end_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    draw = "import torch\nfor _ in range(9):\n    torch.randn_like(torch.ones(64, 1, 8, 8))\n"
    for end, code, word in (("raise SystemExit(7)", 7, "HEALTHY"), ("1 / 0", 1, "ZeroDivisionError")):
        script.write_text(draw + end + "\n")
        ended, said = immiscible(monkeypatch, capsys, "run", "--k", "8", script)
        assert ended == code and word in said and "paired 9 draws" in said, said


def test_doctor_on_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = torch.randn(512, 4, 8, 8)
    noise = Nearest(8)(clean)
    torch.save({"clean": clean, "noise": noise, "target": noise - clean}, tmp_path / "good.pt")
    torch.save({"clean": clean, "noise": torch.randn_like(clean)}, tmp_path / "bad.pt")
    torch.save(clean, tmp_path / "images.pt")
    code, said = immiscible(monkeypatch, capsys, "doctor", tmp_path / "good.pt", "--pairing", "nearest:8")
    assert code == 0 and "HEALTHY" in said and "flow, noise − clean" in said, said
    code, said = immiscible(monkeypatch, capsys, "doctor", tmp_path / "bad.pt")
    assert code == 1 and "NOT SELECTING" in said, said
    code, said = immiscible(monkeypatch, capsys, "doctor", tmp_path / "images.pt", "--pairing", "assigned")
    assert code == 0 and "HEALTHY" in said, said
    torch.save(clean.mean(0), tmp_path / "mean.pt")
    words = ("--pairing", "nearest", "--k", "4", "--centre", tmp_path / "mean.pt")
    code, said = immiscible(monkeypatch, capsys, "doctor", tmp_path / "images.pt", *words)
    assert code == 0 and "centre=tensor[4, 8, 8]" in said, said


def test_doctor_on_data_and_on_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = immiscible(
        monkeypatch, capsys, "doctor", "--data", "digits", "--pairing", "nearest", "--k", "8"
    )
    assert code == 0 and "HEALTHY" in said, said
    script = tmp_path / "train.py"
    script.write_text(
        "import torch\nimport torch.nn.functional as F\nlayer = torch.nn.Conv2d(1, 1, 1)\n"
        "images = torch.ones(64, 1, 8, 8)\n"
        "while True:\n    noise = torch.randn_like(images)\n    F.mse_loss(layer(noise), noise)\n"
    )
    code, said = immiscible(monkeypatch, capsys, "doctor", "--rows", "256", script)
    assert code == 1 and "watched 4 draws" in said and "NOT SELECTING" in said, said
    code, said = immiscible(monkeypatch, capsys, "doctor", "--rows", "256", "--pairing", "nearest:8", script)
    assert code == 0 and "HEALTHY" in said, said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "absent.py"), "no script 'absent.py'"),
        (("run", "--pairing", "nearst", "x.py"), "no script"),
        (("run", "train.sh"), "script must be a .py file"),
        (("doctor",), "give either a file"),
        (("doctor", "absent.pt"), "no file 'absent.pt'"),
        (("doctor", "--data", "digits", "--k", "8"), "--k, --rule and --centre belong to a pairing"),
        (("doctor", "--data", "digits", "--pairing", "nearst"), "did you mean 'nearest'"),
        (("doctor", "--data", "digits", "--pairing", "nearest:centred"), "give the mean image with --centre"),
        (("doctor", "--data", "digits", "--rows", "1"), "rows must be 2 or more"),
    ],
)
def test_bad_input_is_one_line(
    words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = immiscible(monkeypatch, capsys, *words)
    assert code == 2 and message in said, said


def test_what_stands_behind_the_script_is_the_script_s() -> None:
    words = ["run", "--k", "8", "train.py", "--k", "9", "other.py"]
    assert split_at_script(words) == (["run", "--k", "8", "train.py"], ["--k", "9", "other.py"])
    assert split_at_script(["run", "--help"]) == (["run", "--help"], [])
