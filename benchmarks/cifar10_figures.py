"""The paper's figures that need no training: how much nearer the noise is, and how Gaussian it stays.

Command:  python -m benchmarks.cifar10_figures --data ../shared/data/cifar10
Hardware: CPU. Duration: 190 s on one thread of a shared two-core machine (OMP_NUM_THREADS=1).
Data:     all 50,000 CIFAR-10 training images, [-1, 1] × image std / 0.5; Nearest is uncentred, as in the
          paper. Image std 1 is also read as "scaled until their standard deviation is 1" (× 1.988, "true").

The distance is the mean over images of ‖image − noise‖; its change is from Independent to the pairing, both
from the same generator states. Drawn as (a, c) of every candidate (tests/pairing/algorithm_1.py, 12 runs),
Algorithm 1 itself gives -1.556 % and -1.124 %. The divergence is that of the Gaussian with the mean and the
covariance (over N) of the 50,000 noises from N(0, I). For perfect noise it is 48.23, not 0, because 50,000
are few for 3,072 dimensions.

| figure (seed 0)                        | paper    | target       | nominal        | true           |
|----------------------------------------|----------|--------------|----------------|----------------|
| distance, Nearest k=8, %               | -1.58    | -1.58 ± 0.03 | -1.556 ± 0.005 | -1.560 ± 0.005 |
| distance, Nearest k=4, %               | -1.10    | -1.12 ± 0.03 | -1.128 ± 0.005 | -1.130 ± 0.005 |
| distance, Assigned in batches of 256, % | about -2 | about -2     | -2.122 ± 0.006 | -2.121 ± 0.006 |
| divergence, Independent, nats          | 48.25    | 48.25 ± 0.05 | 48.253         | 48.253         |
| divergence, Nearest k=8, nats          | 48.60    | 48.66 ± 0.05 | 48.635         | 48.637         |
"""

import argparse
import io
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet
import scipy
import torch
from PIL import Image
from torch import Tensor

from immiscible_diffusion.pairing import Assigned, Independent, Nearest, Pairing

RESULTS = Path(__file__).parent / "results" / "cifar10_figures.json"


@dataclass(frozen=True)
class Figure:
    """One number of the paper beside ours."""

    name: str
    paper: str
    target: str
    measured: float
    standard_error: float | None = None


def read_images(file: Path, count: int | None = None) -> Tensor:
    """Decode the first `count` images of a parquet file with column img{bytes}; uint8 [N, 3, 32, 32]."""
    column = pyarrow.parquet.read_table(file, columns=["img"]).column("img")
    stored = column.slice(0, count).to_pylist()
    pixels = [np.asarray(Image.open(io.BytesIO(image["bytes"])).convert("RGB")) for image in stored]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()


def batches(pixels: Tensor, image_std: float, size: int) -> Iterator[Tensor]:
    """Yield float images in order; [-1, 1] has the nominal standard deviation 0.5."""
    for part in pixels.split(size):
        yield (part.float() / 127.5 - 1) * (image_std / 0.5)


def distances(pixels: Tensor, image_std: float, pairing: Pairing, batch: int, seed: int) -> Tensor:
    """‖image − noise‖ of every image; float64 [N]. Batch i draws from seed + i, whatever the pairing."""
    found = []
    for index, clean in enumerate(batches(pixels, image_std, batch)):
        noise = pairing(clean, generator=torch.Generator().manual_seed(seed + index))
        found.append((clean - noise).flatten(1).norm(dim=1).double())
    return torch.cat(found)


def change_percent(paired: Tensor, plain: Tensor) -> tuple[float, float]:
    """By how many percent the mean distance changes, and the standard error of that."""
    change = 100 * (paired.mean() / plain.mean() - 1)
    residual = 100 * (paired - paired.mean() / plain.mean() * plain) / plain.mean()
    return float(change), float(residual.std() / len(plain) ** 0.5)


def divergence(pixels: Tensor, image_std: float, pairing: Pairing, batch: int, seed: int, ddof: int) -> float:
    """KL(N(mean, covariance) ‖ N(0, I)) of the noises of all images, in nats, in float64."""
    dimension = pixels[0].numel()
    total = torch.zeros(dimension, dtype=torch.float64)
    products = torch.zeros(dimension, dimension, dtype=torch.float64)
    for index, clean in enumerate(batches(pixels, image_std, batch)):
        generator = torch.Generator().manual_seed(seed + index)
        rows = pairing(clean, generator=generator).flatten(1).double()
        total += rows.sum(0)
        products.addmm_(rows.T, rows)
    mean = total / len(pixels)
    covariance = (products - len(pixels) * torch.outer(mean, mean)) / (len(pixels) - ddof)
    log_determinant = 2 * torch.linalg.cholesky(covariance).diagonal().log().sum()
    return float((covariance.trace() + mean.square().sum() - dimension - log_determinant) / 2)


def measure(pixels: Tensor, image_std: float, seed: int) -> list[Figure]:
    """All figures at one scale of the images."""
    batch, at_once = 256, 2000
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(seed))
    shuffled = pixels[order]  # Assigned sees random batches
    plain = distances(shuffled, image_std, Independent(), batch, seed)
    figures = []
    for name, pairing, paper, target in [
        ("distance, Nearest k=8, %", Nearest(k=8), "-1.58", "-1.58 ± 0.03"),
        ("distance, Nearest k=4, %", Nearest(k=4), "-1.10", "-1.12 ± 0.03"),
        ("distance, Assigned in batches of 256, %", Assigned(), "about -2", "about -2"),
    ]:
        change, error = change_percent(distances(shuffled, image_std, pairing, batch, seed), plain)
        figures.append(Figure(name, paper, target, change, error))
    for name, pairing, paper, target in [
        ("divergence, Independent, nats", Independent(), "48.25", "48.25 ± 0.05"),
        ("divergence, Nearest k=8, nats", Nearest(k=8), "48.60", "48.66 ± 0.05"),
    ]:
        figures.append(Figure(name, paper, target, divergence(pixels, image_std, pairing, at_once, seed, 0)))
    return figures


def markdown(figures: list[Figure]) -> str:
    lines = ["| figure | paper | target | measured |", "|---|---|---|---|"]
    for figure in figures:
        error = "" if figure.standard_error is None else f" ± {figure.standard_error:.3f}"
        lines.append(f"| {figure.name} | {figure.paper} | {figure.target} | {figure.measured:.3f}{error} |")
    return "\n".join(lines)


def processor() -> str:
    """The processor's name, as Linux knows it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/cifar10"), help="folder of train.parquet"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the JSON goes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    pixels = read_images(options.data / "train.parquet")
    std = float((pixels.double() / 127.5 - 1).std())
    report: dict[str, object] = {}
    # The nominal scale is the project's; images whose true standard deviation is 1 are a little larger.
    for name, image_std in [("nominal", 1.0), ("true", 0.5 / std)]:
        figures = measure(pixels, image_std, options.seed)
        print(
            f"\nimage std 1, {name}: images in [-1, 1] × {image_std / 0.5:.4f}\n\n{markdown(figures)}",
            flush=True,
        )
        report[name] = {"factor": image_std / 0.5, "figures": [asdict(figure) for figure in figures]}
    result = {
        "dataset": f"CIFAR-10 train, {len(pixels)} images, standard deviation {std:.4f} in [-1, 1]",
        "seed": options.seed,
        "seconds": round(time.perf_counter() - start),
        "hardware": f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "scipy": scipy.__version__,
        },
        "image_std": report,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\n{result['seconds']} s; written to {options.out}")


if __name__ == "__main__":
    main()
