"""Questions about a pairing that need no trained network: `immiscible analyse time` and its neighbours."""

from collections.abc import Callable
from pathlib import Path

from immiscible_diffusion.cli.findings import tell


def time(
    batches: tuple[int, ...] = (128, 256, 512, 1024),
    size: str = "CIFAR-10",
    repeats: int = 9,
    seconds: float = 10.0,
    seed: int = 0,
    out: Path = Path("runs/analyse/time"),
) -> None:
    """What does pairing cost a training step? (Table 5; `immiscible bench` has every way of pairing.)

    Args:
        batches: Batch sizes.
        size: Image size: CIFAR-10, SD, SDXL or video.
        repeats: Most repetitions of each way of pairing on each batch.
        seconds: Most time for each of them.
        seed: Seed of images and noise.
        out: Folder of the finding.
    """
    from immiscible_diffusion.analysis.time import time

    tell(time(batches, size, repeats=repeats, seconds=seconds, seed=seed), out)


PAIRING_QUESTIONS: dict[str, Callable[..., None]] = {"time": time}
