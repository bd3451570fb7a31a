"""Questions about a pairing that need no trained network: `immiscible analyse time` and its neighbours."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from immiscible_diffusion.cli.findings import tell

if TYPE_CHECKING:
    from immiscible_diffusion.analysis.clean_images import CleanImages


@dataclass(frozen=True)
class DataSettings:
    """Which images are looked at, and at what scale."""

    data: str = "digits"
    """Data: digits, cifar10, fashion-mnist, a hub name, a parquet file, a folder of those or of images, or
    gaussian:4x32x32 for unit Gaussian vectors in the place of latents."""
    rows: int | None = None
    """Look at the first so many only."""
    resolution: int | None = None
    """Resize and centre-crop images to this side."""
    image_std: float = 0.5
    """Nominal std that images are scaled to: 0.5 is [-1, 1]; the paper also tries 1, 2 and 4."""
    image_column: str | None = None
    """Column of the images, where it is not found by type."""
    latents: Path | None = None
    """A .npy or .safetensors file [N, ...] to look at instead of --data, as it is."""
    seed: int = 0
    """Seed of the noise, and of everything else that is drawn."""


DIGITS = DataSettings()
PAIRINGS = ("independent", "nearest:8:uncentred", "nearest:8", "nearest:8:dot", "assigned")
Data = Annotated[DataSettings, tyro.conf.arg(name="")]


def distance(
    data: Data = DIGITS,
    k: tuple[float, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024),
    rules: tuple[str, ...] = ("l2", "dot"),
    centrings: tuple[str, ...] = ("uncentred", "centred"),
    batches: tuple[int, ...] | None = None,
    out: Path | None = None,
) -> None:
    """How much nearer is the noise? (Table 4; measured on every image, beside the closed form.)

    Args:
        data: The data.
        k: Candidate noises of nearest.
        rules: Rules of nearest: l2 (the paper's) and dot.
        centrings: Whether images are centred before choosing.
        batches: Batch sizes of assigned; by default those of 64, 256 and 1,024 that the data fills.
        out: Folder of the finding; by default runs/analyse/DATA.
    """
    from immiscible_diffusion.analysis.distance import distance

    images = _load(data)
    tell(distance(images, k, rules, centrings, batches, seed=data.seed), _folder(out, images))


def miscibility(
    data: Data = DIGITS,
    pairings: tuple[str, ...] = PAIRINGS,
    points: int = 10_000,
    clusters: int = 16,
    batch: int = 256,
    samples: int = 128,
    times: int = 16,
    shown: int = 4,
    out: Path | None = None,
) -> None:
    """How mixed are the noises of different images? (§3.2, Fig. 10: noise clusters; and posterior entropy.)

    Args:
        data: The data.
        pairings: Short names, such as independent nearest:4 nearest:4:uncentred nearest:2.5:dot assigned.
        points: Noises in each image's cluster.
        clusters: Images that have a cluster.
        batch: Batch size of assigned.
        samples: Noisy points at each time, for the posterior.
        times: Times that the posterior is found at.
        shown: Images whose noises are in the t-SNE.
        out: Folder of the finding; by default runs/analyse/DATA.
    """
    from immiscible_diffusion.analysis.miscibility import Effort, miscibility

    images = _load(data)
    effort = Effort(points, clusters, batch, samples, times, shown, min(300, points))
    tell(miscibility(images, pairings, effort, seed=data.seed), _folder(out, images))


def gaussianity(
    data: Data = DIGITS,
    pairings: tuple[str, ...] = PAIRINGS,
    k: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024),
    batch: int = 256,
    out: Path | None = None,
) -> None:
    """Is paired noise still what sampling starts from? (§3.3.2: KL to N(0, I); shifts of mean and norm.)

    Args:
        data: The data.
        pairings: Short names of the pairings to measure.
        k: Candidate noises of nearest to predict for, both rules, centred or not.
        batch: Batch size of assigned.
        out: Folder of the finding; by default runs/analyse/DATA.
    """
    from immiscible_diffusion.analysis.gaussianity import gaussianity

    images = _load(data)
    tell(gaussianity(images, pairings, k, batch=batch, seed=data.seed), _folder(out, images))


def choose_k(
    data: Data = DIGITS,
    prediction: str = "epsilon",
    rule: str = "l2",
    centring: str = "centred",
    k: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
    samples: int = 128,
    out: Path | None = None,
) -> None:
    """Which k? The largest whose noise is still what sampling starts from, within a budget set by the paper.

    Args:
        data: The data.
        prediction: What is trained: epsilon (DDPM, DDIM), flow (flow matching) or consistency.
        rule: Rule of nearest: l2 (the paper's) or dot.
        centring: centred or uncentred (the paper's).
        k: Candidate noises to choose from.
        samples: Noisy points, for what noise tells of its image.
        out: Folder of the finding; by default runs/analyse/DATA.
    """
    from immiscible_diffusion.analysis.choose_k import choose_k

    images = _load(data)
    tell(
        choose_k(images, prediction, rule, centring, k, samples=samples, seed=data.seed), _folder(out, images)
    )


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


PAIRING_QUESTIONS: dict[str, Callable[..., None]] = {
    "distance": distance,
    "miscibility": miscibility,
    "gaussianity": gaussianity,
    "choose-k": choose_k,
    "time": time,
}


def _load(data: DataSettings) -> "CleanImages":
    from dataclasses import asdict

    from immiscible_diffusion.analysis.clean_images import load_clean

    return load_clean(
        **{("source" if name == "data" else name): value for name, value in asdict(data).items()}
    )


def _folder(out: Path | None, images: "CleanImages") -> Path:
    return out or Path("runs/analyse") / images.name.replace(":", "-").replace("/", "-")
