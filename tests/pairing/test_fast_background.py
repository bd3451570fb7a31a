"""Pairing in the background draws what the foreground draws, and never hangs or hides an error."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from immiscible_diffusion.pairing import Above, Assigned, Independent, Nearest, Pairing
from immiscible_diffusion.pairing.background import pair_window, paired

BATCHES = [torch.randn((6, 3, 4, 4), generator=torch.Generator().manual_seed(i)) for i in range(7)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pairing")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert threads() == []


@pytest.mark.parametrize("pairing", [Independent(), Nearest(k=4096), Assigned()], ids=repr)
@pytest.mark.parametrize("ahead", [1, 3, 20])
@pytest.mark.parametrize("window", [1, 3])
def test_background_draws_what_the_foreground_draws(pairing: Pairing, ahead: int, window: int) -> None:
    front = list(paired(BATCHES, pairing, generator=seeded(), ahead=0, window=window))
    back = list(paired(BATCHES, pairing, generator=seeded(), ahead=ahead, window=window))
    assert len(front) == len(back) == len(BATCHES)
    for batch, (one, noise), (other, same) in zip(BATCHES, front, back, strict=True):
        assert one is batch and other is batch and torch.equal(noise, same)


def test_the_foreground_draws_what_calls_by_hand_draw() -> None:
    generator = seeded()
    by_hand = [Assigned()(batch, generator=generator) for batch in BATCHES]
    for noise, (_, same) in zip(by_hand, paired(BATCHES, Assigned(), generator=seeded()), strict=True):
        assert torch.equal(noise, same)


@pytest.mark.parametrize("window", [1, 3])
def test_batches_tell_their_levels(window: int) -> None:
    levels = [torch.tensor([0.1, 3.0, 0.5, 2.0, 1.0, 9.0]) * (1 + i) for i in range(len(BATCHES))]
    batches = [SimpleNamespace(clean=c, levels=level) for c, level in zip(BATCHES, levels, strict=True)]
    above, generator = Above(Assigned(), 1.0), seeded()
    given = [noise for _, noise in paired(batches, above, generator=seeded(), window=window)]
    for first in range(0, len(BATCHES), window):
        clean, level = (torch.cat(parts[first : first + window]) for parts in (BATCHES, levels))
        expected = above.at(level)(clean, generator=generator)
        assert torch.equal(torch.cat(given[first : first + window]), expected)
    # Pairings that ask for none are given none.
    plain = [noise for _, noise in paired(batches, Assigned(), generator=seeded())]
    assert torch.equal(plain[0], Assigned()(BATCHES[0], generator=seeded()))


@dataclass(frozen=True)
class Watched:
    """Plain noise that tells when, and in which thread, it was drawn."""

    done: list[threading.Event]
    fails_at: int = -1

    def __call__(self, clean: Tensor, *, generator=None, condition=None, mask=None) -> Tensor:
        index = next(i for i, batch in enumerate(BATCHES) if batch is clean)
        self.done[index].set()
        if index == self.fails_at:
            raise RuntimeError(f"batch {index} is bad, found in {threading.current_thread().name}")
        return torch.randn(clean.shape, generator=generator)


def test_the_next_batch_is_paired_while_this_one_trains() -> None:
    watched = Watched([threading.Event() for _ in BATCHES])
    for index, _ in enumerate(paired(BATCHES, watched, generator=seeded())):
        if index + 1 < len(BATCHES):
            assert watched.done[index + 1].wait(10), "nothing happened during the step"
        assert not any(event.is_set() for event in watched.done[index + 2 :])


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_an_error_surfaces_with_its_batch_and_ends_the_thread(ahead: int) -> None:
    watched = Watched([threading.Event() for _ in BATCHES], fails_at=2)
    pairs = paired(BATCHES, watched, generator=seeded(), ahead=ahead)
    assert next(pairs)[0] is BATCHES[0] and next(pairs)[0] is BATCHES[1]
    with pytest.raises(RuntimeError, match="batch 2 is bad"):
        next(pairs)
    assert threads() == []


def test_an_error_of_the_loader_surfaces() -> None:
    def loader() -> Iterator[Tensor]:
        yield BATCHES[0]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(paired(loader(), Independent(), generator=seeded()))


def test_leaving_the_loop_early_ends_the_thread() -> None:
    for _ in paired(BATCHES, Assigned(), generator=seeded(), ahead=3):
        break
    assert threads() == []
    iterator = paired(BATCHES, Assigned(), generator=seeded())
    next(iterator)
    assert threads() == ["pairing_0"]
    iterator.close()
    assert threads() == []


def test_a_loop_that_is_never_left_lets_the_program_end() -> None:
    program = (
        "import torch\n"
        "from immiscible_diffusion.pairing import Assigned\n"
        "from immiscible_diffusion.pairing.background import paired\n"
        "kept = paired([torch.randn(8, 4)] * 5, Assigned(), generator=torch.Generator())\n"
        "next(kept)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], timeout=120, capture_output=True, text=True)
    assert result.returncode == 0 and result.stderr == ""


def test_wrong_arguments_are_refused_before_anything_is_drawn() -> None:
    with pytest.raises(ValueError, match=r"generator must be given where pairing runs in the background"):
        paired(BATCHES, Independent(), generator=None)
    with pytest.raises(ValueError, match="got ahead=-1, window=1"):
        paired(BATCHES, Independent(), generator=seeded(), ahead=-1)
    with pytest.raises(ValueError, match="got ahead=1, window=0"):
        paired(BATCHES, Independent(), generator=seeded(), window=0)
    with pytest.raises(TypeError, match=r"cannot find the images in a batch of type dict; pass clean_of"):
        next(paired([{"pixels": BATCHES[0]}], Independent(), generator=seeded()))


def test_images_are_found_in_every_kind_of_batch() -> None:
    clean, label = BATCHES[0], torch.arange(6)
    whole = SimpleNamespace(clean=clean, condition=label)
    for batch, clean_of in [
        (clean, None),
        ((clean, label), None),
        (whole, None),
        ({"a": clean}, lambda b: b["a"]),
    ]:
        ((_, noise),) = paired([batch], Assigned(), generator=seeded(3), clean_of=clean_of)
        assert torch.equal(noise, Assigned()(clean, generator=seeded(3)))


def distance(pairs: list[tuple[Tensor, Tensor]]) -> float:
    return sum(float((clean - noise).square().sum()) for clean, noise in pairs)


def test_a_window_is_one_pool() -> None:
    alone, together = (
        list(paired(BATCHES, Assigned(), generator=seeded(), window=window)) for window in (1, len(BATCHES))
    )
    assert distance(together) < distance(alone)
    everything = Assigned()(torch.cat(BATCHES), generator=seeded())
    assert torch.equal(torch.cat([noise for _, noise in together]), everything)


def test_shapes_and_masks_are_pooled_among_themselves_and_come_back_in_order() -> None:
    large = [torch.randn(4, 3, 8, 8) for _ in range(2)]
    mixed = [BATCHES[0], large[0], BATCHES[1], large[1], BATCHES[2].double()]
    pairs = list(paired(mixed, Assigned(), generator=seeded(), window=5))
    for clean, noise in pairs:
        assert noise.shape == clean.shape and noise.dtype == clean.dtype
    expected = Assigned()(torch.cat(BATCHES[:2]), generator=seeded())
    assert torch.equal(torch.cat([pairs[0][1], pairs[2][1]]), expected)

    mask = torch.tensor([[True, False, True]])
    inputs = [{"clean": BATCHES[0], "mask": mask}, {"clean": BATCHES[1]}, {"clean": BATCHES[2], "mask": mask}]
    noises = pair_window(Assigned(), inputs, seeded())
    masked = Assigned()(torch.cat([BATCHES[0], BATCHES[2]]), mask=mask.expand(12, -1), generator=seeded())
    assert torch.equal(torch.cat([noises[0], noises[2]]), masked)


def test_conditions_that_cannot_be_joined_are_refused() -> None:
    inputs = [{"clean": batch, "condition": ["a cat"] * 6} for batch in BATCHES[:2]]
    with pytest.raises(TypeError, match="condition must be a tensor in every batch of a window, got list"):
        pair_window(Assigned(), inputs, seeded())
