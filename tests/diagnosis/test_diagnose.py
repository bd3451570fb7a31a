"""`diagnose` against noise whose fault, or soundness, is known."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from immiscible_diffusion import Assigned, Independent, Nearest, Pairing, diagnose
from immiscible_diffusion.analysis.clean_images import load_clean
from immiscible_diffusion.diagnosis import read_tensors
from immiscible_diffusion.diagnosis.selection import change, equivalent_k, images_of
from immiscible_diffusion.pairing import whitening


@pytest.fixture(scope="module")
def digits() -> Tensor:
    """1,024 handwritten digits [N, 1, 8, 8] in [−1, 1]."""
    return load_clean("digits", rows=1024).rows(slice(None))


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def literal(clean: Tensor, k: int, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Algorithm 1 as it is usually written, with distances in `dtype`."""
    kept = []
    for image in clean:
        candidates = torch.randn(k, *image.shape, generator=generator)
        off = (image.to(dtype) - candidates.to(dtype)).flatten(1)
        kept.append(candidates[off.norm(dim=1).argmin()])
    return torch.stack(kept)


@pytest.mark.parametrize(
    "pairing",
    [Nearest(2), Nearest(8), Nearest(64), Nearest(4, rule="dot"), Nearest(8, centre="batch"), Assigned()],
)
def test_every_pairing_is_found_healthy_and_as_predicted(digits: Tensor, pairing: Pairing) -> None:
    noise = torch.cat([pairing(batch, generator=random(7)) for batch in digits.split(1024)])
    found = diagnose(digits, noise, pairing=pairing)
    assert found.healthy, found
    assert found.predicted_percent is not None
    assert abs(found.change_percent - found.predicted_percent) < 4.5 * found.standard_error, found


def test_noise_chosen_on_a_view_is_predicted_by_pairing_again(digits: Tensor) -> None:
    for pairing in (Nearest(64, view=2), Nearest(64, whitening=whitening(digits))):
        noise = pairing(digits, generator=random(7))
        found = diagnose(digits, noise, pairing=pairing)
        assert found.healthy and found.predicted_percent is not None, found
        assert abs(found.change_percent - found.predicted_percent) < 4.5 * 2**0.5 * found.standard_error, (
            found
        )


def test_change_is_what_is_measured_against_drawn_noise(digits: Tensor) -> None:
    noise = Nearest(8)(digits, generator=random())
    plain = torch.stack([torch.randn(digits.shape, generator=random(seed)) for seed in range(1, 33)])
    reference = (digits - plain).flatten(2).norm(dim=2).mean()
    wanted = 100 * ((digits - noise).flatten(1).norm(dim=1).mean() / reference - 1)
    found = diagnose(digits, noise)
    assert abs(found.change_percent - float(wanted)) < 3 * found.standard_error


@pytest.mark.parametrize("k", [2, 8, 100])
def test_as_near_as_names_the_k_of_algorithm_1(digits: Tensor, k: int) -> None:
    noise = literal(digits, k, torch.float64, random(3))
    images = images_of(digits, None)
    measured, error = change(images, noise.flatten(1).double())
    low, high = (equivalent_k(images, measured + shift * 4 * error) for shift in (1, -1))
    assert low < k < high


@pytest.mark.parametrize("seed", range(5))
def test_independent_noise_is_never_taken_for_selected(digits: Tensor, seed: int) -> None:
    found = diagnose(digits, torch.randn(digits.shape, generator=random(seed)), pairing=Nearest(8))
    assert not found.healthy
    assert found.verdict.startswith("NOT SELECTING: the noise is as far")


def test_asked_for_independent_noise_is_not_selecting(digits: Tensor) -> None:
    found = diagnose(digits, pairing=Independent())
    assert not found.healthy and "as asked" in found.verdict


def test_noise_for_other_rows_is_not_selecting(digits: Tensor) -> None:
    """The paper's noise, handed to the wrong images: a shuffle of the loader between pairing and use."""
    pairing = Nearest(8, centre=digits.mean(0))
    noise = pairing(digits, generator=random())[torch.randperm(len(digits), generator=random(1))]
    found = diagnose(digits, noise, pairing=pairing)
    assert not found.healthy and found.verdict.startswith(("NOT SELECTING", "SELECTING TOO WEAKLY")), found


def test_half_precision_distances_select_too_weakly() -> None:
    latents = torch.randn(48, 16, 64, 64, generator=random())
    noise = literal(latents, 16, torch.bfloat16, random(1))
    found = diagnose(latents, noise, pairing=Nearest(16))
    assert not found.healthy, found
    assert found.bfloat16_agreement is not None and found.bfloat16_agreement < 0.5
    assert found.float16_agreement is not None and found.float16_agreement > found.bfloat16_agreement
    exact = literal(latents, 16, torch.float32, random(1))
    assert diagnose(latents, exact, pairing=Nearest(16)).healthy


def test_a_larger_k_than_named_is_noticed(digits: Tensor) -> None:
    found = diagnose(digits, Nearest(64)(digits, generator=random()), pairing=Nearest(2))
    assert not found.healthy and found.verdict.startswith("NEARER THAN PREDICTED")


def test_few_images_cannot_tell(digits: Tensor) -> None:
    found = diagnose(digits[:2], torch.randn(2, 1, 8, 8, generator=random()), pairing=Nearest(2))
    assert not found.healthy and found.verdict.startswith("CANNOT TELL from 2 images; pass ")
    needed = int(found.verdict.split("pass ")[1].split()[0].replace(",", ""))
    assert 8 < needed < 1024
    assert diagnose(digits[:1024], pairing=Nearest(2)).healthy


TARGETS: dict[str, Any] = {
    "epsilon": lambda clean, noise, time: noise,
    "flow, noise − clean": lambda clean, noise, time: noise - clean,
    "flow, clean − noise": lambda clean, noise, time: clean - noise,
    "the image": lambda clean, noise, time: clean,
    "v": lambda clean, noise, time: time.cos() * noise - time.sin() * clean,
}


@pytest.mark.parametrize("kind", TARGETS)
def test_targets_are_named_and_wrong_ones_refused(digits: Tensor, kind: str) -> None:
    noise = Nearest(8)(digits, generator=random())
    time = 1.5 * torch.rand(len(digits), 1, 1, 1, generator=random(1)) + 0.02
    target = TARGETS[kind](digits, noise, time)
    noisy = time.cos() * digits + time.sin() * noise
    found = diagnose(digits, noise, target, noisy)
    assert found.healthy and found.target is not None and found.target.kind == kind, found
    if kind == "the image":
        return  # has no noise in it that could be wrong
    wrong = diagnose(digits, noise, TARGETS[kind](digits, noise.roll(1, 0), time), noisy)
    assert not wrong.healthy and wrong.verdict.startswith("WRONG TARGET"), wrong
    other = diagnose(digits, noise, target, time.cos() * digits + time.sin() * noise.roll(1, 0))
    assert not other.healthy and other.verdict.startswith("WRONG NOISE"), other


def test_a_target_in_bfloat16_agrees(digits: Tensor) -> None:
    clean = digits.to(torch.bfloat16)
    noise = Nearest(8)(clean, generator=random())
    found = diagnose(clean, noise, noise - clean)
    assert found.healthy and found.dtypes == ("bfloat16", "bfloat16"), found


def test_bias_in_norm_and_brightness(digits: Tensor) -> None:
    """The lean of uncentred noise is shown, and centring cures it."""
    lean = diagnose(digits, pairing=Nearest(8))
    assert lean.energy < 0.9 and lean.along_mean > 0.5 and "centre on the mean image" in str(lean)
    centred = diagnose(digits, pairing=Nearest(8, centre=digits.mean(0)))
    assert abs(centred.along_mean) < 4 * centred.along_error and "centre on" not in str(centred)
    plain = diagnose(digits, torch.randn(digits.shape, generator=random()))
    assert (
        abs(plain.energy - 1) < 4 * plain.energy_error and abs(plain.brightness) < 4 * plain.brightness_error
    )


def test_ten_lines(digits: Tensor) -> None:
    found = diagnose(digits, pairing=Nearest(8), batch_size=64)
    assert len(str(found).splitlines()) == 10
    assert found.milliseconds is not None and found.milliseconds > 0 and "a batch of 64" in str(found)


def test_torch_s_own_generator_is_left_alone(digits: Tensor) -> None:
    torch.manual_seed(5)
    wanted = torch.randn(3)
    torch.manual_seed(5)
    diagnose(digits[:64], pairing=Assigned())
    assert torch.equal(torch.randn(3), wanted)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "noise or pairing must be given"),
        ({"noise": torch.zeros(3, 4)}, r"noise has shape \(3, 4\), clean has \(4, 4\)"),
        ({"noise": torch.zeros(4, 4), "target": torch.zeros(4)}, "target has shape"),
        ({"noise": torch.full((4, 4), torch.nan)}, "noise has a NaN or infinite value"),
        ({"noise": torch.zeros(4, 4, dtype=torch.int64)}, "noise must be floats"),
        ({"pairing": Nearest(8), "target": torch.zeros(4, 4)}, "noise must be given where target"),
        (
            {"pairing": Nearest(8), "mask": torch.zeros(4, 4, dtype=torch.bool)},
            "mask leaves fewer than 2 rows",
        ),
    ],
)
def test_bad_input_is_one_clear_error(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diagnose(torch.randn(4, 4), **given)


def test_one_image_or_one_number_is_refused() -> None:
    for clean in (torch.zeros(1, 4), torch.zeros(4, 1)):
        with pytest.raises(ValueError, match="clean must have 2 or more rows of 2 or more numbers"):
            diagnose(clean, clean)


def test_tensor_files(tmp_path: Path) -> None:
    clean, noise = torch.randn(4, 3), torch.randn(4, 3)
    torch.save(clean, tmp_path / "one.pt")
    torch.save({"latents": clean, "noise": noise, "step": torch.tensor(3)}, tmp_path / "batch.pt")
    save_file({"clean": clean, "noise": noise}, tmp_path / "batch.safetensors")
    np.save(tmp_path / "one.npy", clean.numpy())
    np.savez(tmp_path / "batch.npz", clean=clean.numpy(), noise=noise.numpy())
    for name in ("one.pt", "one.npy"):
        assert torch.equal(read_tensors(tmp_path / name)["clean"], clean)
    for name in ("batch.pt", "batch.safetensors", "batch.npz"):
        found = read_tensors(tmp_path / name)
        assert set(found) == {"clean", "noise"} and torch.equal(found["noise"], noise)


def test_bad_tensor_files_are_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"a": torch.zeros(2), "b": torch.zeros(2)}, tmp_path / "names.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    (tmp_path / "x.txt").write_text("")
    for name, message in (
        ("absent.pt", "no file"),
        ("list.pt", "must hold a tensor or a dict of tensors, got list"),
        ("names.pt", "has the tensors a, b; name the images 'clean'"),
        ("module.pt", "cannot be read as tensors"),
        ("x.txt", "must end in .pt"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            read_tensors(tmp_path / name)


def test_needs_the_core_only() -> None:
    """In a trainer there may be neither tyro nor matplotlib, and it should not wait for them."""
    program = (
        "import sys, immiscible_diffusion as i; i.diagnose, i.paired_noise; "
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert (
        set(loaded.split()) & {"tyro", "matplotlib", "diffusers", "sklearn", "safetensors", "datasets"}
        == set()
    )
