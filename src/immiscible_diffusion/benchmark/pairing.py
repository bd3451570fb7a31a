"""`immiscible bench pairing`: one table of methods × sizes × batches."""

import os
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from immiscible_diffusion.benchmark.measurement import Row, measure
from immiscible_diffusion.benchmark.methods import Method, methods
from immiscible_diffusion.benchmark.tables import write

SIZES: Mapping[str, tuple[int, ...]] = {
    "CIFAR-10": (3, 32, 32),
    "SD": (4, 64, 64),
    "SDXL": (4, 128, 128),
    "video": (16, 21, 60, 104),
}
BATCHES = (1, 16, 128, 256, 512, 1024, 4096)


def bench_pairing(
    out: Path,
    sizes: Sequence[str] = tuple(SIZES),
    batches: Sequence[int] = BATCHES,
    *,
    repeats: int = 9,
    seconds: float = 10.0,
    memory: float = 4.0,
    threads: int | None = None,
    device: str = "cpu",
    seed: int = 0,
    report: Callable[[str], None] = print,
) -> list[Row]:
    """Time every method on every size and batch, and write pairing.json, pairing.md and pairing.png.

    As `time_pairing`; report is given the table too, at the end.
    """
    rows, conditions = time_pairing(
        sizes,
        batches,
        repeats=repeats,
        seconds=seconds,
        memory=memory,
        threads=threads,
        device=device,
        seed=seed,
        report=report,
    )
    report(write(rows, conditions, out))
    return rows


def time_pairing(
    sizes: Sequence[str],
    batches: Sequence[int],
    *,
    names: Collection[str] | None = None,
    repeats: int = 9,
    seconds: float = 10.0,
    memory: float = 4.0,
    threads: int | None = None,
    device: str = "cpu",
    seed: int = 0,
    report: Callable[[str], None] = print,
) -> tuple[list[Row], dict[str, object]]:
    """Time methods on every size and batch; returns a row for each and the conditions they were timed under.

    The images are smooth random fields, float32. sizes: names from `SIZES`. names: the methods, by the names
    that `methods` gives; None for all, and randn_like is among them always. repeats, seconds: the most turns
    and the most time for each method on each batch. memory: GiB that a method may hold; what would need more
    is in the rows as not run. threads: torch's; None leaves them. report: is given a line for each batch.
    Raises ValueError for an unknown size or a batch under 1.
    """
    unknown = [size for size in sizes if size not in SIZES]
    if unknown or not sizes:
        raise ValueError(f"sizes must be some of {', '.join(SIZES)}, got {', '.join(unknown) or 'none'}")
    if not batches or min(batches) < 1:
        raise ValueError(f"batches must be sizes of 1 or more, got {list(batches)}")
    yardstick, *others = methods(torch.device(device))
    compared = [yardstick, *(method for method in others if names is None or method.name in names)]
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        conditions = _conditions(torch.device(device), seed)
        rows: list[Row] = []
        for size in sizes:
            for batch in batches:
                rows += _rows(
                    compared, size, batch, torch.device(device), repeats, seconds, memory * 2**30, seed
                )
                timed = sum(
                    row.milliseconds is not None for row in rows if (row.size, row.batch) == (size, batch)
                )
                report(f"{size}, batch {batch}: {timed} methods timed")
        conditions["load at the end"] = _load()
        return rows, conditions
    finally:
        torch.set_num_threads(before)


def _rows(
    compared: Sequence[Method],
    size: str,
    batch: int,
    device: torch.device,
    repeats: int,
    seconds: float,
    memory: float,
    seed: int,
) -> list[Row]:
    shape = (batch, *SIZES[size])
    needed = 4 * torch.Size(shape).numel()
    if 3 * needed > memory:
        reason = f"the images alone are {needed / 2**30:.0f} GiB"
        return [Row(method.name, size, batch, not_run=reason) for method in compared]
    clean = smooth_images(shape, device, seed + 1)
    return measure(compared, clean, size, repeats=repeats, seconds=seconds, memory=memory, seed=seed)


def smooth_images(shape: tuple[int, ...], device: torch.device, seed: int) -> Tensor:
    """Images of unit variance, most of it coarse, as in photographs: white ones are too easy to assign."""
    generator = torch.Generator(device).manual_seed(seed)
    height, width = shape[-2:]
    coarse = (torch.Size(shape[:-2]).numel(), 1, max(1, height // 8), max(1, width // 8))
    field = torch.randn(coarse, device=device, generator=generator)
    images = torch.nn.functional.interpolate(field, size=(height, width), mode="bilinear").view(shape)
    images += 0.2 * torch.randn(shape, device=device, generator=generator)
    return images / images.std()


def _conditions(device: torch.device, seed: int) -> dict[str, object]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    return {
        "device": f"{name} ({os.cpu_count()} cores)",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "images": "smooth random fields of unit variance, float32",
        "seed": seed,
        "load at the start": _load(),
        "GPU": "this run" if device.type == "cuda" else "not run",
    }


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
