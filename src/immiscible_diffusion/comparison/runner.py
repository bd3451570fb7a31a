"""Train one experiment under several pairings and seeds, measuring on the way; goes on where it stopped."""

import dataclasses
import json
from pathlib import Path
from statistics import median
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from immiscible_diffusion.atomic_files import write_text, written_aside
from immiscible_diffusion.comparison.curves import Comparison, Curve, Point, Score
from immiscible_diffusion.comparison.parallel import Report, default_jobs, in_processes
from immiscible_diffusion.comparison.plan import Plan, run_place, variants
from immiscible_diffusion.comparison.subject import IMAGES, Subject
from immiscible_diffusion.environment import describe_environment
from immiscible_diffusion.evaluation import Reference, feature_network, prepare_reference
from immiscible_diffusion.generation import SHEET_IMAGES
from immiscible_diffusion.runs.loop import OpenRun, Schedule, averaged


def run_comparison(
    experiment: Any,
    plan: Plan,
    folder: Path,
    report: Report = lambda text: None,
    jobs: int | None = None,
    subject: Subject = IMAGES,
) -> tuple[Comparison, dict[str, Tensor]]:
    """Train every pairing under every seed in `folder/runs`, measuring on the way.

    Seed s of every pairing starts from the same weights and sees the same rows and times; all are measured
    from the same Gaussian noise against the same real images. What is in the folder already is not done
    again: a comparison that was stopped goes on, and pairings or seeds can be added.
    report: called with a line of progress. subject: what kind of experiment it is. jobs: runs to train at
    once; by default one a core, one on a GPU.
    Returns the comparison and, by pairing, the sample sheet of the first seed (uint8 [36, C, H, W]).
    Raises ValueError where the folder was measured in another way.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be 1 or more, got {jobs}; leave it out for one a core")
    loaded = subject.load(experiment)  # and what it keeps, once, before there are several processes
    if "semidiscrete" in plan.pairings and subject.prepare:
        subject.prepare(experiment, loaded)
    data = subject.real_images(loaded)
    network = feature_network(plan.features, data, weights=plan.weights)
    _check_measure(folder, plan, network.name)
    if network.accuracy is not None:
        report(f"features: {network.name}, right on {network.accuracy:.1%} of held-out images")
    # Seeds outside, so that an interrupted comparison has whole seeds to show.
    kinds, one_each = zip(
        *(
            (kind, dataclasses.replace(one, seed=experiment.seed + number))
            for number in range(plan.seeds)
            for kind, one in variants(experiment, plan).items()
        ),
        strict=True,
    )
    places = [run_place(folder, kind, one.seed) for kind, one in zip(kinds, one_each, strict=True)]
    names = [
        f"{number}/{len(one_each)} {kind} seed {one.seed}"
        for number, (kind, one) in enumerate(zip(kinds, one_each, strict=True), 1)
    ]
    tasks = [
        (subject, one, plan, place, name) for one, place, name in zip(one_each, places, names, strict=True)
    ]
    unfinished = sum(not _finished(one, plan, place) for one, place in zip(one_each, places, strict=True))
    jobs = min(jobs or default_jobs(len(tasks)), max(1, unfinished))
    if jobs > 1:
        curves = in_processes(_measured_in_process, tasks, jobs, report)
    else:
        reference = prepare_reference(data.pixels, network)
        curves = [measured_run(*task, loaded, reference, report) for task in tasks]
    samples = {
        kind: load_file(place / "sheet.safetensors")["pixels"]
        for kind, one, place in zip(kinds, one_each, places, strict=True)
        if one.seed == experiment.seed
    }
    comparison = Comparison(
        experiment=experiment.name,
        baseline=plan.baseline,
        curves=tuple(
            dataclasses.replace(curve, pairing=kind) for kind, curve in zip(kinds, curves, strict=True)
        ),
        evaluations=plan.evaluations,
        judged_at=plan.judged_at,
        feature_network=network.name,
        distance_name=network.distance_name,
        real_count=len(data.pixels),
        generated_count=plan.count,
        settings=comparison_settings(experiment, plan, jobs),
        environment=describe_environment(),
    )
    return comparison, samples


def comparison_settings(experiment: Any, plan: Plan, jobs: int) -> dict[str, Any]:
    """Everything that names a comparison but the pairings."""
    settings = dataclasses.asdict(experiment)
    del settings["pairing"], settings["seed"]
    if plan.image_stds:
        settings["image_std"] = list(plan.image_stds)
    return {
        **settings,
        "objective": {"kind": type(experiment.objective).__name__, **settings["objective"]},
        "sampler": experiment.objective.samplers[0],
        "seeds": [experiment.seed + number for number in range(plan.seeds)],
        "runs at once": jobs,
    }


def milestones(steps: int, points: int) -> list[int]:
    """Choose the steps to measure at: evenly spaced, the last at the end."""
    return sorted({max(1, round(steps * (number + 1) / points)) for number in range(points)})


def _finished(experiment: Any, plan: Plan, folder: Path) -> bool:
    wanted = milestones(experiment.steps, plan.points)
    return wanted[-1] in _read(folder / "evaluations.jsonl") and (folder / "sheet.safetensors").exists()


def _measured_in_process(
    subject: Subject, experiment: Any, plan: Plan, folder: Path, name: str, report: Report
) -> Curve:
    """Load what `measured_run` needs in another process, where the parent's probe is in the cache."""
    loaded = subject.load(experiment)
    data = subject.real_images(loaded)
    reference = prepare_reference(data.pixels, feature_network(plan.features, data, weights=plan.weights))
    return measured_run(subject, experiment, plan, folder, name, loaded, reference, report)


def measured_run(
    subject: Subject,
    experiment: Any,
    plan: Plan,
    folder: Path,
    name: str,
    loaded: Any,
    reference: Reference,
    report: Report,
) -> Curve:
    """Train and measure one run, or read what an earlier call measured."""
    wanted = milestones(experiment.steps, plan.points)
    records = _read(folder / "evaluations.jsonl")
    if not _finished(experiment, plan, folder):
        run = subject.open(experiment, folder, loaded)
        records = {step: record for step, record in records.items() if step <= run.start.step}
        _train(subject, run, plan, wanted, records, reference, lambda text: report(f"{name}: {text}"))
    else:
        report(f"{name}: done before")
    chosen = [records[step] for step in wanted if step in records]
    points = tuple(
        Point(
            record["step"],
            record["seconds"],
            {int(n): Score(**score) for n, score in record["scores"].items() if int(n) in plan.evaluations},
        )
        for record in chosen
    )
    return Curve(
        pairing=experiment.pairing,
        seed=experiment.seed,
        points=points,
        pairing_share=_median(chosen, "pairing_share"),
        seconds_per_step=_median(chosen, "seconds_per_step"),
    )


def _median(records: list[dict[str, Any]], name: str) -> float:
    known: list[float] = [record[name] for record in records if record[name] is not None]
    return median(known or [0.0])


def _train(
    subject: Subject,
    run: OpenRun,
    plan: Plan,
    wanted: list[int],
    records: dict[int, dict[str, Any]],
    reference: Reference,
    report: Report,
) -> None:
    """Train to the end, measuring at every wanted step; every measurement is on disk once it is made."""
    seconds = run.start.seconds
    shares: list[float] = []
    durations: list[float] = []

    def measure(step: int) -> None:
        with averaged(run) as network:
            scores, images = subject.score(run, network, reference, plan.evaluations, plan.count)
        records[step] = {
            "step": step,
            "seconds": seconds,
            "pairing_share": median(shares) if shares else None,  # unknown where taken up just here
            "seconds_per_step": median(durations) if durations else None,
            "scores": {str(n): {"frechet": s.frechet, "kernel": s.kernel} for n, s in scores.items()},
        }
        lines = [json.dumps(records[number]) for number in sorted(records)]
        write_text(run.folder / "evaluations.jsonl", "\n".join(lines) + "\n")
        if step == wanted[-1]:
            sheet = images[plan.judged_at][:SHEET_IMAGES].clone()
            with written_aside(run.folder / "sheet.safetensors") as aside:
                save_file({"pixels": sheet}, aside)
        at = scores[plan.judged_at]
        report(
            f"step {step}/{wanted[-1]}, {at.distance_name} {at.frechet:.4g} at {plan.judged_at} evaluations"
        )

    # Stopped between a checkpoint and its measurement, or between the last one and its sheet.
    if run.start.step in wanted and (run.start.step not in records or run.start.step == wanted[-1]):
        measure(run.start.step)
    for done in subject.advance(run, Schedule(checkpoint_every=wanted[0], sheet_every=0)):
        seconds += done.seconds
        shares.append(done.pairing_seconds / done.seconds)
        durations.append(done.seconds)
        if done.step in wanted:
            measure(done.step)
            shares, durations = [], []


def _check_measure(folder: Path, plan: Plan, features: str) -> None:
    """Refuse to mix measurements made in different ways in one folder."""
    now = {
        "features": features,
        "count": plan.count,
        "evaluations": list(plan.evaluations),
        "points": plan.points,
    }
    file = folder / "measure.json"
    if file.exists():
        before = json.loads(file.read_text())
        differing = ", ".join(
            f"{name} {before[name]} → {now[name]}" for name in now if before[name] != now[name]
        )
        if differing:
            raise ValueError(
                f"comparison {str(folder)!r} was measured in another way ({differing}); "
                "repeat its settings to go on with it, or choose another --out"
            )
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(now, indent=2) + "\n")


def _read(file: Path) -> dict[int, dict[str, Any]]:
    lines = file.read_text().splitlines() if file.exists() else []
    return {record["step"]: record for record in map(json.loads, lines)}
