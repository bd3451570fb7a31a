"""Images a second of our loop, TorchCFM's CIFAR-10 loop and diffusers' unconditional example, in turns.

    pip install --no-deps torchcfm POT      # torchcfm's own requirements would replace torch
    .venv/bin/python -m benchmarks.trainers --data ../shared/data/cifar10

Same network (a diffusers U-Net), batch, images, machine and thread. The other two are in `published_loops`.
Ours is `open_run` and `advance` with their usual logging. Then the parts of our step, with `--profile`
networks. Writes benchmarks/results/trainers/.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.published_loops import diffusers_steps, torchcfm_steps
from torchcfm.conditional_flow_matching import (
    ConditionalFlowMatcher,
    ExactOptimalTransportConditionalFlowMatcher,
)
from tqdm.auto import tqdm

from immiscible_diffusion import training
from immiscible_diffusion.data.images import ImageData, load_images
from immiscible_diffusion.environment import describe_environment
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.networks import build_network, parameter_count
from immiscible_diffusion.runs import images as image_runs
from immiscible_diffusion.runs import loop as run_loop

RESULTS = Path(__file__).parent / "results" / "trainers"
# Ours by the experiment and pairing, and the published loop that does the same.
PAIRS = {
    "flow, independent": "TorchCFM icfm",
    "flow, assigned": "TorchCFM otcfm",
    "ddim, independent": "diffusers",
    "ddim, nearest:8": "diffusers",
}


def our_experiment(kind: str, pairing: str, network: str, batch: int, data: str) -> Experiment:
    named = named_experiment(f"cifar10-{kind}")
    return Experiment(
        **{
            **vars(named),
            "data": data,
            "network": network,
            "pairing": pairing,
            "batch_size": batch,
            "steps": 100_000,
        }
    )


def our_steps(experiment: Experiment, data: ImageData, folder: Path, log_every: int = 20) -> Iterator[Any]:
    run = image_runs.open_run(experiment, folder, data=data)
    bar = tqdm(disable=None, leave=False)
    for done in image_runs.advance(run, log_every=log_every, checkpoint_every=0, sheet_every=0):
        bar.update()
        yield done


def timed(steps: Iterator[Any], count: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        next(steps)
    return time.perf_counter() - wall, time.process_time() - cpu


def summary(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def raced(given: Any, data: ImageData, folder: Path) -> dict[str, Any]:
    """Time all loops turn by turn; images a second by wall clock and by CPU time."""

    def ours(name: str) -> Iterator[Any]:
        kind, pairing = name.split(", ")
        experiment = our_experiment(kind, pairing, given.network, given.batch, given.data)
        return our_steps(experiment, data, folder / name)

    loops: dict[str, Iterator[Any]] = {
        "TorchCFM icfm": torchcfm_steps(ConditionalFlowMatcher(sigma=0.0), data, given.network, given.batch),
        "TorchCFM otcfm": torchcfm_steps(
            ExactOptimalTransportConditionalFlowMatcher(sigma=0.0), data, given.network, given.batch
        ),
        "diffusers": diffusers_steps(data, given.network, given.batch, folder / "diffusers"),
    } | {name: ours(name) for name in PAIRS}
    for steps in loops.values():
        timed(steps, 2)
    wall: dict[str, list[float]] = {name: [] for name in loops}
    cpu: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(given.turns):
        order = list(loops) if turn % 2 == 0 else list(loops)[::-1]
        for name in order:
            took, worked = timed(loops[name], given.steps)
            wall[name].append(given.batch * given.steps / took)
            cpu[name].append(given.batch * given.steps / worked)
        print(turn, {name: round(speeds[-1], 1) for name, speeds in cpu.items()}, flush=True)
    rows = {}
    for own, other in PAIRS.items():
        rows[own] = {"against": other}
        for clock, speeds in (("wall", wall), ("cpu", cpu)):
            ratios = [mine / theirs for mine, theirs in zip(speeds[own], speeds[other], strict=True)]
            rows[own][clock] = {
                "ours": summary(speeds[own]),
                "theirs": summary(speeds[other]),
                "ratio": summary(ratios),
            }
    return rows


def profiled(
    network: str, batch: int, steps: int, given: Any, data: ImageData, folder: Path
) -> dict[str, Any]:
    """CPU time of the parts of our step beside the network's, each step logged or one in twenty."""
    spent: dict[str, list[float]] = {}

    def watched(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return work(*arguments, **named)
            finally:
                spent.setdefault(name, []).append(time.process_time() - began)

        return call

    before = training.make_batch, run_loop.average, run_loop.record_step, image_runs.pairing_from_name
    training.make_batch = watched("data", training.make_batch)
    run_loop.average = watched("EMA", run_loop.average)
    run_loop.record_step = watched("logging", run_loop.record_step)
    image_runs.pairing_from_name = lambda *named: watched("pairing", before[3](*named))  # type: ignore[assignment]
    parts: dict[str, Any] = {}
    try:
        for pairing in ("independent", "nearest:8", "assigned"):
            experiment = our_experiment("ddim", pairing, network, batch, given.data)
            loop = our_steps(experiment, data, folder / f"{network}-{pairing}", log_every=1)
            timed(loop, 1)
            spent.clear()
            whole = [timed(loop, 1)[1] for _ in range(steps)]
            loop.close()  # type: ignore[attr-defined]
            shares = {name: statistics.median(values[:steps]) for name, values in spent.items()}
            shares["logging, one step in 20"] = shares.pop("logging") / 20
            step = statistics.median(whole)
            parts[pairing] = {
                "step_seconds": step,
                "milliseconds": {name: 1000 * value for name, value in shares.items()},
                "share": {name: value / step for name, value in shares.items()},
                "share_together": sum(shares.values()) / step,
            }
            print(
                network, batch, pairing, f"{parts[pairing]['share_together']:.2%} of {step:.2f} s", flush=True
            )
    finally:
        training.make_batch, run_loop.average, run_loop.record_step, image_runs.pairing_from_name = before
    built = build_network(network, data.shape)
    return {"network": network, "parameters": parameter_count(built), "batch": batch, "pairings": parts}


def table(result: dict[str, Any]) -> str:
    lines = [
        "| ours | against | images/s of CPU time, ours and theirs | ratio | by wall clock |",
        "|---|---|---|---|---|",
    ]
    for name, row in result["race"].items():
        cpu, wall = row["cpu"], row["wall"]["ratio"]
        ratio = cpu["ratio"]
        lines.append(
            f"| {name} | {row['against']} | {cpu['ours']['median']:.1f}, {cpu['theirs']['median']:.1f} | "
            f"{ratio['median']:.3f}× ({ratio['least']:.3f}–{ratio['greatest']:.3f}) | "
            f"{wall['median']:.2f}× ({wall['least']:.2f}–{wall['greatest']:.2f}) |"
        )
    lines += [
        "",
        "| network, batch | pairing | step, s | pairing | data | EMA | logging | together |",
        "|" + "---|" * 8,
    ]
    for one in result["profiles"]:
        for pairing, part in one["pairings"].items():
            share = part["share"]
            names = ("pairing", "data", "EMA", "logging, one step in 20")
            lines.append(
                f"| {one['network']} ({one['parameters'] / 1e6:.1f} M), {one['batch']} | {pairing} | "
                f"{part['step_seconds']:.2f} | "
                + " | ".join(f"{share[name]:.2%}" for name in names)
                + f" | {part['share_together']:.2%} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--network", default="unet-small")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8, help="a turn")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--profile", nargs="*", default=["unet-small:128:5", "unet-paper:16:3"])
    given = parser.parse_args()
    data = load_images(given.data)
    with tempfile.TemporaryDirectory() as folder:
        race = raced(given, data, Path(folder))
        profiles = []
        for asked in given.profile:
            network, batch, steps = asked.split(":")
            profiles.append(profiled(network, int(batch), int(steps), given, data, Path(folder)))
    result = {
        "environment": describe_environment(),
        "load": os.getloadavg(),
        "settings": vars(given) | {"data": "cifar10"},
        "race": race,
        "profiles": profiles,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "trainers.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "trainers.md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
