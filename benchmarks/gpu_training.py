"""CIFAR-10 at the paper's size on one GPU: vanilla against pairings, for as many steps as a given time has.

    python -m benchmarks.gpu_training flow --data cifar10 --weights cifar10_resnet56-4bfd9763.th --seconds 500

Measures a compiled training step and one measurement first, chooses a number of steps that fits all runs
into --seconds, and makes the runs through `immiscible evidence`'s driver: matched seeds, the same rows, times
and sampling noise. Writes OUT/gpu-cifar10-flow.json, which `immiscible evidence write` puts on the page once
it lies in results/. Distances are in ResNet features and no FID, unless --inception gives Inception-v3's
weights.
"""

import argparse
import dataclasses
import time
from pathlib import Path
from statistics import median

import torch

from immiscible_diffusion.comparison import Plan
from immiscible_diffusion.evaluation import feature_network, prepare_reference
from immiscible_diffusion.evidence import Listed, Places, run_listed
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.runs.folder import load_data
from immiscible_diffusion.runs.images import advance, open_run
from immiscible_diffusion.runs.loop import averaged
from immiscible_diffusion.scoring import score_network

# The paper's k (Table 4), and what did best in small networks; the last is timed.
PAIRINGS = {
    "flow": ("independent", "nearest:4", "assigned:above"),
    "ddim": ("independent", "nearest:8", "assigned:above"),
    "edm": ("independent", "assigned:above"),
}
COMMAND = "bash benchmarks/gpu.sh {}"
TIMED_STEPS = 20
SHARE = 0.9  # of the time that is planned with


def step_seconds(experiment: Experiment, folder: Path, compile: bool) -> tuple[float, float]:
    """Seconds of a step once compiled, and of the first step."""
    short = dataclasses.replace(experiment, steps=2 * TIMED_STEPS)
    run = open_run(short, folder, log_with="none")
    seconds = [done.seconds for done in advance(run, sheet_every=0, checkpoint_every=0, compile=compile)]
    return median(seconds[TIMED_STEPS:]), seconds[0]


def overhead_seconds(experiment: Experiment, plan: Plan, folder: Path) -> tuple[float, float]:
    """Seconds of opening a run, its noise's moments included, and of one measurement."""
    data = load_data(experiment)
    network = feature_network(plan.features, data, weights=plan.weights)
    if torch.cuda.is_available():
        network.module.to("cuda")
    reference = prepare_reference(data.pixels, network)
    started = time.perf_counter()
    run = open_run(experiment, folder, data=data, log_with="none")
    opened = time.perf_counter()
    with averaged(run) as averages:
        score_network(experiment, averages, data, reference, plan.evaluations, plan.count)
    return opened - started, time.perf_counter() - opened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("objective", choices=sorted(PAIRINGS))
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", type=Path, help="a CIFAR-10 ResNet's")
    parser.add_argument("--inception", type=Path, help="Inception-v3's, for FID")
    parser.add_argument("--seconds", type=float, default=500.0)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--runs", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--network", default="unet-paper")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--points", type=int, default=4)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--rows", type=int, help="of the data, to try it")
    parser.add_argument("--no-compile", action="store_true")
    given = parser.parse_args()
    began = time.perf_counter()
    torch.set_float32_matmul_precision("high")
    base = dataclasses.replace(
        named_experiment(f"cifar10-{given.objective}"),
        data=given.data,
        rows=given.rows,
        pairing=PAIRINGS[given.objective][-1],
        network=given.network,
        precision=given.precision,
        batch_size=given.batch,
        warmup_steps=500,
        ema_decay=0.999,
    )
    plan = Plan(
        PAIRINGS[given.objective],
        given.seeds,
        evaluations=(5, 20),
        points=given.points,
        count=given.count,
        features="inception" if given.inception else "resnet",
        weights=given.inception or given.weights,
    )
    name = f"gpu-cifar10-{given.objective}"
    rehearsal = given.runs / f"{name}-rehearsal"
    step, first = step_seconds(base, rehearsal / "steps", not given.no_compile)
    opening, once = overhead_seconds(base, plan, rehearsal / "measurement")
    runs = len(plan.pairings) * plan.seeds
    # Later runs find compiled kernels in the cache, but trace again; a run's last look is for copies.
    each = opening + first / 2 + (plan.points + 1) * once
    left = SHARE * (given.seconds - (time.perf_counter() - began)) - runs * each
    steps = max(plan.points, int(left / runs / step) // plan.points * plan.points)
    print(f"{name}: {step * 1000:.1f} ms a step, {once:.1f} s a measurement: {steps} steps a run", flush=True)
    experiment = dataclasses.replace(base, steps=steps, warmup_steps=min(500, steps // 4))
    listed = Listed(
        name,
        "",
        experiment,
        plan,
        compile=not given.no_compile,
        command=COMMAND.format(given.objective),
    )
    for result in run_listed(listed, Places(given.out, given.runs), lambda text: print(text, flush=True)):
        print(f"{len(result.comparison.curves)} of {runs} runs are in {given.out}", flush=True)


if __name__ == "__main__":
    main()
