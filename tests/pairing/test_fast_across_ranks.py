"""Two processes that pair as one: the permutation of the whole, on every backend that a CPU has."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from immiscible_diffusion.pairing import Assigned, Independent, assign
from immiscible_diffusion.pairing.across_ranks import AcrossRanks
from immiscible_diffusion.pairing.background import paired

if not dist.is_available() or not dist.is_gloo_available():
    pytest.skip("torch without gloo", allow_module_level=True)


def images(rank: int, rows: int, size: int = 4) -> Tensor:
    return torch.randn((rows, 3, size, size), generator=torch.Generator().manual_seed(100 + rank))


def seeded(rank: int) -> torch.Generator:
    return torch.Generator().manual_seed(rank)


def _run(rank: int, world: int, port: int, work: Callable[[int], object], folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    try:
        torch.save(work(rank), Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def on_ranks(world: int, work: Callable[[int], object], folder: Path) -> list[object]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = mp.spawn(_run, (world, port, work, str(folder)), nprocs=world, join=False)
    while not context.join(timeout=120):
        pass
    return [torch.load(folder / f"{rank}.pt") for rank in range(world)]


def _equal_sizes(rank: int) -> Tensor:
    return AcrossRanks()(images(rank, 16), generator=seeded(rank))


def _unequal_sizes(rank: int) -> Tensor:
    return AcrossRanks()(images(rank, 5 + 7 * rank), generator=seeded(rank))


def _own_shapes(rank: int) -> list[Tensor]:
    """Ranks 0 and 2 have 4×4 images, rank 1 has 8×8 ones, in another dtype the second time."""
    size, dtype = (8, torch.bfloat16) if rank == 1 else (4, torch.float32)
    first = AcrossRanks()(images(rank, 6 + rank, size), generator=seeded(rank))
    second = AcrossRanks()(images(rank, 6 + rank, 4).to(dtype), generator=seeded(rank))
    return [first, second]


def _one_bad_rank(rank: int) -> str:
    clean = images(rank, 4)
    if rank == 1:
        clean[2] = float("nan")
    try:
        AcrossRanks()(clean, generator=seeded(rank))
    except RuntimeError as error:
        return str(error)
    return "nothing was raised"


def _masked(rank: int) -> Tensor:
    mask = torch.tensor([True, rank == 0, True])[None]
    return AcrossRanks()(images(rank, 8), generator=seeded(rank), mask=mask)


def _in_the_background(rank: int) -> Tensor:
    batches = [images(10 * step + rank, 8) for step in range(4)]
    pairing = AcrossRanks(group=dist.new_group())
    pairs = list(paired(batches, pairing, generator=seeded(rank), window=2))
    foreground = list(paired(batches, AcrossRanks(), generator=seeded(rank), window=2, ahead=0))
    assert all(torch.equal(noise, same) for (_, noise), (_, same) in zip(pairs, foreground, strict=True))
    return torch.cat([noise for _, noise in pairs])


def whole_noise(rows: list[int]) -> Tensor:
    return torch.cat(
        [Independent()(images(rank, count), generator=seeded(rank)) for rank, count in enumerate(rows)]
    )


@pytest.mark.parametrize(("work", "rows"), [(_equal_sizes, [16, 16]), (_unequal_sizes, [5, 12])])
def test_two_ranks_share_the_optimum_of_the_whole(
    work: Callable[[int], object], rows: list[int], tmp_path: Path
) -> None:
    noises = on_ranks(2, work, tmp_path)
    clean = torch.cat([images(rank, count) for rank, count in enumerate(rows)])
    plain = whole_noise(rows)
    assert torch.equal(torch.cat(noises), plain[assign(clean, plain)])
    alone = [Assigned()(images(rank, count), generator=seeded(rank)) for rank, count in enumerate(rows)]
    assert not torch.equal(torch.cat(noises), torch.cat(alone))


def test_shapes_and_dtypes_are_pooled_among_themselves(tmp_path: Path) -> None:
    first, second = zip(*on_ranks(3, _own_shapes, tmp_path), strict=True)
    clean = torch.cat([images(0, 6), images(2, 8)])
    plain = torch.cat([Independent()(images(rank, 6 + rank), generator=seeded(rank)) for rank in (0, 2)])
    expected = plain[assign(clean, plain)]
    assert torch.equal(torch.cat([first[0], first[2]]), expected)
    assert torch.equal(torch.cat([second[0], second[2]]), expected)
    assert torch.equal(first[1], Assigned()(images(1, 7, 8), generator=seeded(1)))
    half = images(1, 7, 4).bfloat16()
    assert torch.equal(second[1], Assigned()(half, generator=seeded(1)))


def test_what_one_rank_refuses_is_raised_on_all(tmp_path: Path) -> None:
    messages = on_ranks(2, _one_bad_rank, tmp_path)
    assert set(messages) == {
        "rank 1 cannot pair its batch: clean has a NaN or infinite value; remove or repair these images"
    }


def test_masks_count_across_ranks(tmp_path: Path) -> None:
    noises = torch.cat(on_ranks(2, _masked, tmp_path))
    clean = torch.cat([images(0, 8), images(1, 8)])
    mask = torch.tensor([[True, True, True]] * 8 + [[True, False, True]] * 8)
    plain = whole_noise([8, 8])
    assert torch.equal(noises, plain[assign(clean, plain, mask=mask)])


def test_windows_and_ranks_and_the_background_together(tmp_path: Path) -> None:
    one, other = on_ranks(2, _in_the_background, tmp_path)
    assert one.shape == other.shape == (32, 3, 4, 4)
    assert len(torch.cat([one, other]).flatten(1).unique(dim=0)) == 64


def test_a_single_process_is_told_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"AcrossRanks needs torch.distributed"):
        AcrossRanks()(images(0, 4))
