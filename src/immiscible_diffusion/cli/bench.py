"""`immiscible bench`: what pairing costs, beside the reference ways, in one run."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def bench(
    subject: Annotated[Literal["pairing"], tyro.conf.Positional],
    out: Path = Path("runs/bench"),
    sizes: tuple[str, ...] = ("CIFAR-10", "SD", "SDXL", "video"),
    batches: tuple[int, ...] = (1, 16, 128, 256, 512, 1024, 4096),
    repeats: int = 9,
    seconds: float = 10.0,
    memory: float = 4.0,
    threads: int | None = None,
    seed: int = 0,
) -> None:
    """Time every way of pairing in one table: time, ratio to randn_like, memory, distance change.

    Args:
        subject: What to time.
        out: Folder for pairing.json, pairing.md and pairing.png.
        sizes: Image sizes, out of CIFAR-10, SD, SDXL and video.
        batches: Batch sizes.
        repeats: Most repetitions of each method on each batch.
        seconds: Most time for each method on each batch.
        memory: GiB that a method may hold; what needs more is in the table as not run.
        threads: CPU threads; by default PyTorch's own number.
        seed: Seed of images and noise.
    """
    import torch

    from immiscible_diffusion.benchmark import bench_pairing

    device = "cuda" if torch.cuda.is_available() else "cpu"
    bench_pairing(
        out,
        sizes,
        batches,
        repeats=repeats,
        seconds=seconds,
        memory=memory,
        threads=threads,
        device=device,
        seed=seed,
    )
