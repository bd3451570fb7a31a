"""`paired_noise` finds the training step's draw, that one only, and says so when it cannot."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from immiscible_diffusion import Above, Independent, Interception, Nearest, Pairing, Staged, paired_noise
from immiscible_diffusion.analysis.clean_images import load_clean
from immiscible_diffusion.interception import Place


@pytest.fixture(scope="module")
def digits() -> Tensor:
    """512 handwritten digits [N, 1, 8, 8] in [−1, 1]."""
    return load_clean("digits", rows=512).rows(slice(None))


NEAREST = Nearest(8)


def within(train: Callable[[], Any], at: str | None = None) -> Interception:
    """Run a training function with its noise paired."""
    with paired_noise(NEAREST, at=at) as record:
        train()
    return record


# Each way in which trainers ask for noise for their images.
DRAWS: dict[str, Any] = {
    "randn_like": lambda clean: torch.randn_like(clean),
    "randn_like with a device": lambda clean: torch.randn_like(clean, device=clean.device),
    "randn of a shape": lambda clean: torch.randn(clean.shape),
    "randn of a shape, moved": lambda clean: torch.randn(clean.shape).to(clean.device),
    "randn of a size": lambda clean: torch.randn(clean.size(), dtype=clean.dtype, device=clean.device),
    "randn with size=": lambda clean: torch.randn(size=clean.shape),
    "diffusers' helper": lambda clean: randn_tensor(clean.shape, dtype=clean.dtype),
}


@pytest.mark.parametrize("way", DRAWS)
def test_every_way_of_asking_is_answered(digits: Tensor, way: str) -> None:
    with paired_noise(NEAREST) as record:
        for clean in digits.split(64):
            noise = DRAWS[way](clean)
            F.mse_loss(noise.requires_grad_(), noise.detach() - clean)
    assert record.times == 8 and record.place is not None and record.place.file == __file__
    found = record.diagnose()
    assert found is not None and found.healthy and found.target is not None and found.target.agrees, found


def test_independent_pairing_changes_no_number(digits: Tensor) -> None:
    def train() -> Tensor:
        torch.manual_seed(0)
        return torch.stack([torch.randn_like(clean) + torch.rand(1) for clean in digits.split(64)])

    wanted = train()
    with paired_noise(Independent()) as record:
        assert torch.equal(train(), wanted)
    assert record.times == 8


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtype_device_and_layout_are_those_asked_for(digits: Tensor, dtype: torch.dtype) -> None:
    clean = digits.to(dtype)
    with paired_noise(NEAREST):
        noise = torch.randn_like(clean)
    assert noise.dtype == dtype and noise.shape == clean.shape and noise.device == clean.device
    with paired_noise(NEAREST):
        assert torch.randn(clean.shape).dtype == torch.float32
    with paired_noise(NEAREST):
        assert torch.randn_like(digits, dtype=dtype).dtype == dtype


def test_the_script_s_generator_is_used(digits: Tensor) -> None:
    with paired_noise(NEAREST):
        noise = torch.randn(digits.shape, generator=torch.Generator().manual_seed(3))
    assert torch.equal(noise, NEAREST(digits, generator=torch.Generator().manual_seed(3)))


def test_batch_1_and_autocast(digits: Tensor) -> None:
    with paired_noise(NEAREST) as record, torch.autocast("cpu", torch.bfloat16):
        for clean in digits[:256].split(1):
            torch.randn_like(clean)
    assert record.times == 256
    found = record.diagnose()
    assert found is not None and found.healthy, found


def test_what_is_not_the_training_noise_is_left_alone(digits: Tensor) -> None:
    clean = digits[:64]
    activation = clean.clone().requires_grad_() * 2
    with paired_noise(NEAREST) as record:
        for _ in range(3):
            noise = torch.randn_like(clean)
            offset = torch.randn(clean.shape[0], clean.shape[1], 1, 1)
            offset_by_shape = torch.randn_like(offset)
            perturbation = torch.randn_like(noise)
            dropout = torch.randn_like(activation)
            with torch.no_grad():
                sampling = torch.randn_like(clean)
            vector = torch.randn(64, 10)
    assert record.times == 3 and noise.shape == clean.shape
    assert offset.shape == offset_by_shape.shape == (64, 1, 1, 1) and vector.shape == (64, 10)
    reasons = sorted(one.reason for one in record.passed_by.values())
    assert reasons == sorted(
        [
            "one number a channel: a noise offset",
            "one number a channel: a noise offset",
            "noise for a noise: a perturbation",
            "for a tensor with a gradient: an activation",
            "gradients are off: sampling or evaluation",
        ]
    )
    assert all(one.times == 3 for one in record.passed_by.values())
    # None of those is nearer to the images than chance has it.
    plain = (clean - torch.randn(64, *clean.shape)).flatten(2).norm(dim=2).mean(1)
    for other in (perturbation, dropout, sampling):
        assert abs((clean - other).flatten(1).norm(dim=1).mean() - plain.mean()) < 5 * plain.std()
    assert (clean - noise).flatten(1).norm(dim=1).mean() < plain.mean() - 5 * plain.std()


def test_two_candidates_are_an_error_that_names_both(digits: Tensor) -> None:
    augmented, noise = [], []

    def train() -> None:
        for clean in digits.split(64):
            augmented.append(clean + 0.01 * torch.randn_like(clean))
            noise.append(torch.randn_like(augmented[-1]))

    with pytest.raises(ValueError, match=r"two draws of noise .*:\d+ and .*:\d+; name the one to pair: --at"):
        within(train)
    assert len(augmented) == 1  # in the first step, before anything is lost


def test_an_augmentation_of_each_image_is_a_candidate_too(digits: Tensor) -> None:
    """However often it draws before the training step's line is reached."""

    def train() -> None:
        batch = torch.stack([image + 0.01 * torch.randn_like(image) for image in digits[:64]])
        torch.randn_like(batch)

    with pytest.raises(ValueError, match="two draws of noise"):
        within(train)


def test_two_draws_on_one_line_are_noticed(digits: Tensor) -> None:
    with pytest.raises(ValueError, match="they stand on one line"), paired_noise(NEAREST):
        torch.randn_like(digits), torch.randn_like(digits)


def test_a_named_place_settles_it(digits: Tensor) -> None:
    def step(clean: Tensor) -> tuple[Tensor, Tensor]:
        first = torch.randn_like(clean)
        return first, torch.randn_like(clean)

    line = step.__code__.co_firstlineno + 2
    with paired_noise(NEAREST, at=f"interception/test_paired_noise.py:{line}") as record:
        first, second = step(digits)
    assert record.place is not None and record.place.line == line
    assert (digits - second).norm() < (digits - first).norm()
    assert [one.reason for one in record.passed_by.values()] == ["not the place named"]
    # A named place is paired under no_grad, too: some trainers prepare their batch there.
    with torch.no_grad(), paired_noise(NEAREST, at=f"test_paired_noise.py:{line}") as record:
        step(digits)
    assert record.times == 1


def test_a_place_that_says_no_images_is_an_error(digits: Tensor) -> None:
    def step() -> Tensor:
        return torch.randn(64, 1, 8, 8)

    line = step.__code__.co_firstlineno + 1
    with pytest.raises(ValueError, match="does not say which images it is for"):
        within(step, at=f"test_paired_noise.py:{line}")
    with paired_noise(NEAREST) as record:
        step()
    assert (
        record.place is None
        and "found no place" in str(record)
        and "does not say which images" in str(record)
    )
    assert record.diagnose() is None


@pytest.mark.parametrize("at", ["train.py", "train.py:", ":3x", ""])
def test_a_place_that_is_none_is_refused(at: str) -> None:
    with pytest.raises(ValueError, match="at must be FILE:LINE"), paired_noise(NEAREST, at=at):
        pass


@pytest.mark.parametrize("pairing", [Above(NEAREST), Staged(NEAREST, end=0.5)])
def test_what_the_line_does_not_know_is_refused(pairing: Pairing) -> None:
    with pytest.raises(ValueError, match="needs the noise level of every row"), paired_noise(pairing):
        pytest.fail("the block must not be entered")


def test_a_second_place_later_warns_and_is_left_alone(digits: Tensor) -> None:
    def evaluate(clean: Tensor) -> Tensor:
        return torch.randn_like(clean)

    weight = torch.ones((), requires_grad=True)

    def train() -> None:
        for clean in digits.split(64):
            (weight * torch.randn_like(clean)).mean().backward()
        for clean in digits.split(64):
            evaluate(clean)

    with pytest.warns(UserWarning, match="noise for images is also drawn at"):
        record = within(train)
    assert record.times == 8
    assert [one.times for one in record.passed_by.values()] == [8]


def test_a_script_that_pairs_already_is_told_so(digits: Tensor) -> None:
    with paired_noise(NEAREST) as record:
        NEAREST(digits)
    assert record.times == 0 and "the script pairs already" in str(record)


def test_other_threads_and_leaving_end_it(digits: Tensor) -> None:
    with paired_noise(NEAREST) as record:
        other = threading.Thread(target=lambda: torch.randn_like(digits))
        other.start()
        other.join()
    torch.randn_like(digits)
    assert record.times == 0


def test_watching_replaces_nothing_and_stops(digits: Tensor) -> None:
    torch.manual_seed(0)
    wanted = torch.randn_like(digits[:64])
    torch.manual_seed(0)
    seen = []
    with paired_noise(None, stop_after=128) as record:
        for clean in digits.split(64):
            seen.append(torch.randn_like(clean))
    assert len(seen) == 2 and torch.equal(seen[0], wanted)
    assert record.rows == 128 and "watched 2 draws" in str(record)


def test_an_offset_in_place_does_not_spoil_the_proof(digits: Tensor) -> None:
    with paired_noise(NEAREST) as record:
        for clean in digits.split(64):
            noise = torch.randn_like(clean)
            noise += 5 * torch.randn(len(clean), 1, 1, 1)
    found = record.diagnose()
    assert found is not None and found.healthy, found


def test_a_compiled_network_still_runs(digits: Tensor) -> None:
    network = torch.compile(torch.nn.Conv2d(1, 1, 3, padding=1), backend="eager")
    with paired_noise(NEAREST) as record:
        for clean in digits.split(128):
            noise = torch.randn_like(clean)
            F.mse_loss(network(clean + noise), noise).backward()
    found = record.diagnose()
    assert found is not None and found.healthy and found.target is not None and found.target.kind == "epsilon"


def test_a_place_is_named_by_the_end_of_its_path() -> None:
    place = Place("/home/a/train.py", 12)
    assert place.is_named(Place("train.py", 12)) and place.is_named(Place("a/train.py", 12))
    assert not place.is_named(Place("rain.py", 12)) and not place.is_named(Place("train.py", 13))
