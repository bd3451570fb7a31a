"""What does a second process bring on a CPU, on the same total batch and on the same batch a process?

    .venv/bin/python -m benchmarks.scaling --data ../shared/data/cifar10

Launches `immiscible train` by torchrun, one and two processes in turns (15 launches of about 40 s), and
reads the time of every step but the first from its metrics.jsonl. One thread a process. Writes
benchmarks/results/scaling/scaling.json and the table in scaling.md.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from immiscible_diffusion.environment import describe_environment

RESULTS = Path(__file__).parent / "results" / "scaling"
SETTINGS = {"one": 1, "same total batch": 2, "same batch a process": 2}


def seconds_a_step(data: str, network: str, processes: int, batch: int, steps: int, pairing: str) -> float:
    """Median wall time of a step of a run by the public command."""
    with tempfile.TemporaryDirectory() as folder:
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        launch += [
            "--nproc_per_node",
            str(processes),
            "-m",
            "immiscible_diffusion.cli",
            "train",
            "cifar10-flow",
        ]
        run = ["--data", data, "--rows", "2000", "--network", network, "--batch-size", str(batch)]
        run += ["--pairing", pairing, "--steps", str(steps), "--out", f"{folder}/run", "--log-every", "1"]
        run += ["--processes", str(processes), "--sheet-every", "0", "--checkpoint-every", "0"]
        subprocess.run(
            [*launch, *run],
            check=True,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        lines = (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()
    clock = [json.loads(line)["seconds"] for line in lines]
    return statistics.median(later - sooner for sooner, later in itertools.pairwise(clock))


def summary(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def table(result: dict[str, Any]) -> str:
    rows = [
        "| | processes | images a step | images/s | against one process | efficiency |",
        "|---|---|---|---|---|---|",
    ]
    for name, processes in SETTINGS.items():
        one = result[name]
        speed, gain = one["images_per_second"], one["speed_up"]
        cells = [
            name,
            str(processes),
            str(one["batch"]),
            f"{speed['median']:.1f} ({speed['least']:.1f}–{speed['greatest']:.1f})",
            f"{gain['median']:.2f}× ({gain['least']:.2f}–{gain['greatest']:.2f})",
            f"{gain['median'] / processes:.0%}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--network", default="unet-small")
    parser.add_argument("--pairing", default="assigned")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    batches = {name: given.batch * (2 if "process" in name else 1) for name in SETTINGS}
    speeds: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for turn in range(given.turns):
        for name, processes in SETTINGS.items():
            took = seconds_a_step(
                given.data, given.network, processes, batches[name], given.steps, given.pairing
            )
            speeds[name].append(batches[name] / took)
            print(turn, name, f"{speeds[name][-1]:.1f} images/s", flush=True)
    result: dict[str, Any] = {
        "environment": describe_environment(),
        "load": os.getloadavg(),
        "settings": vars(given) | {"data": "cifar10", "threads a process": 1},
    }
    for name in SETTINGS:
        gains = [fast / alone for fast, alone in zip(speeds[name], speeds["one"], strict=True)]
        result[name] = {
            "batch": batches[name],
            "images_per_second": summary(speeds[name]),
            "speed_up": summary(gains),
            "turns": speeds[name],
        }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "scaling.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "scaling.md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
