"""One policy under several pairings and seeds, matched: is the score more than seed noise apart?"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from immiscible_diffusion.atomic_files import write_text
from immiscible_diffusion.comparison.parallel import Report, default_jobs, in_processes
from immiscible_diffusion.comparison.statistics import Estimate, mean_over_seeds
from immiscible_diffusion.comparison.table import Table
from immiscible_diffusion.environment import describe_environment
from immiscible_diffusion.experiment import values_of
from immiscible_diffusion.pairing import canonical_name
from immiscible_diffusion.policy.experiment import PolicyExperiment
from immiscible_diffusion.policy.runs import advance_policy, open_policy_run
from immiscible_diffusion.policy.scoring import Measure, PolicyScore, read_score, score_run, write_score
from immiscible_diffusion.policy.skew import noise_skew

PUBLISHED = Measure()


@dataclass(frozen=True)
class PolicyPlan:
    """What a comparison of policies trains and how it is scored.

    pairings: short names, "assigned@16" for pairing within 16 rows of similar observations; differences are
    from "independent", or the first. seeds: runs of each pairing.
    Raises ValueError for fewer than two different pairings, or no seed.
    """

    pairings: tuple[str, ...] = ("independent", "nearest:2", "assigned")
    seeds: int = 3
    measure: Measure = PUBLISHED

    def __post_init__(self) -> None:
        names = tuple(written(*split_name(name)) for name in self.pairings)
        object.__setattr__(self, "pairings", names)
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f"pairings must be two or more different ones, got {' '.join(names) or 'none'}")
        if self.seeds < 1:
            raise ValueError(f"seeds must be 1 or more, got {self.seeds}")

    @property
    def baseline(self) -> str:
        return "independent" if "independent" in self.pairings else self.pairings[0]


@dataclass(frozen=True)
class PolicyResult:
    """One run: its score, what training took, what its noise tells of the observation."""

    pairing: str
    seed: int
    folder: str
    score: PolicyScore
    seconds: float
    skew: float


def compare_policies(
    experiment: PolicyExperiment,
    plan: PolicyPlan,
    folder: Path,
    report: Report = lambda text: None,
    jobs: int | None = None,
) -> list[PolicyResult]:
    """Train and score every pairing under every seed in `folder/runs`; writes results.json.

    Seed s of every pairing has the same initial weights, the same chunks in the same order at the same times,
    and is scored from the same start states with the same sampling noise. What is in the folder already is
    not done again. jobs: runs at once; by default one a core, one on a GPU.
    """
    # Seeds outside, so that an interrupted comparison has whole seeds to show.
    one_each = [
        (name, _paired(experiment, name, experiment.seed + number))
        for number in range(plan.seeds)
        for name in plan.pairings
    ]
    tasks = [
        (
            name,
            one,
            plan.measure,
            folder / "runs" / f"{name.replace(':', '-')}-seed{one.seed}",
            f"{number}/{len(one_each)} {name} seed {one.seed}",
        )
        for number, (name, one) in enumerate(one_each, 1)
    ]
    jobs = min(jobs or default_jobs(len(tasks)), len(tasks))
    if jobs > 1:
        results = in_processes(_result, tasks, jobs, report)
    else:
        results = [_result(*task, report) for task in tasks]
    settings = values_of(experiment)
    del settings["pairing"], settings["seed"]
    stored = {
        "experiment": experiment.name,
        "settings": settings,
        "measure": dataclasses.asdict(plan.measure),
        "runs at once": jobs,
        "environment": describe_environment(),
        "results": [
            {**dataclasses.asdict(one), "folder": str(Path(one.folder).relative_to(folder))}
            for one in results
        ],
    }
    write_text(folder / "results.json", json.dumps(stored, indent=1) + "\n")
    return results


def split_name(name: str) -> tuple[str, int]:
    """Split "assigned@16" into the pairing's canonical name and the rows of a cluster; 0 without "@"."""
    pairing, at, cluster = name.partition("@")
    if at and not cluster.isdigit():
        raise ValueError(f"pairing {name!r} needs a number of rows after @; write {pairing}@16")
    return canonical_name(pairing), int(cluster or 0)


def written(pairing: str, cluster: int) -> str:
    """The inverse of `split_name`."""
    return f"{pairing}@{cluster}" if cluster else pairing


def _paired(experiment: PolicyExperiment, name: str, seed: int) -> PolicyExperiment:
    pairing, cluster = split_name(name)
    chosen = cluster or experiment.pairing_cluster
    return dataclasses.replace(experiment, pairing=pairing, pairing_cluster=chosen, seed=seed)


def _result(
    name: str, experiment: PolicyExperiment, measure: Measure, folder: Path, title: str, report: Report
) -> PolicyResult:
    """Train and score one run, or read what an earlier call did."""

    def say(text: str) -> None:
        report(f"{title}: {text}")

    run = open_policy_run(experiment, folder, resume=True)
    seconds = run.start.seconds
    for done in advance_policy(run):
        seconds += done.seconds
        if done.step % max(1, experiment.steps // 5) == 0:
            say(f"step {done.step:,}/{experiment.steps:,}")
    score = read_score(folder, measure)
    if score is None:
        score = score_run(folder, measure)
        write_score(folder, measure, score)
    say(f"mean score of the last {len(score.steps)} checkpoints {score.mean:.3f}")
    skew = noise_skew(experiment, run.chunks, run.pairing)
    return PolicyResult(name, experiment.seed, str(folder), score, seconds, skew)


def policy_table(results: Sequence[PolicyResult], plan: PolicyPlan) -> Table:
    """Every pairing as means over seeds with 95 % Student-t intervals, and its paired difference."""
    rows = []
    baseline = [one for one in results if one.pairing == plan.baseline]
    columns: list[Callable[[PolicyResult], float]] = [
        lambda one: 100 * one.score.mean,
        lambda one: 100 * one.score.best,
        lambda one: 100 * one.score.coverage,
        lambda one: 100 * one.score.success,
    ]
    for pairing in plan.pairings:
        own = [one for one in results if one.pairing == pairing]
        means = [_percent(mean_over_seeds([column(one) for one in own])) for column in columns]
        differences = [
            100 * (one.score.mean - base.score.mean) for one, base in zip(own, baseline, strict=True)
        ]
        entropies = [one.score.mode_entropy for one in own if one.score.mode_entropy is not None]
        rows.append(
            (
                pairing,
                *means,
                "–" if pairing == plan.baseline else _signed(mean_over_seeds(differences)),
                f"{np.mean(entropies):.2f}" if entropies else "–",
                f"{np.mean([one.skew for one in own]):+.3f}".replace("-", "−"),
                f"{np.median([one.seconds for one in own]) / 60:.1f} min",
            )
        )
    headers = (
        "Pairing",
        "Score %, last checkpoints",
        "Score %, best checkpoint",
        "Coverage %",
        "Success %",
        f"Score − {plan.baseline}'s",
        "Mode entropy, bits",
        "Noise tells observation, R²",
        "Training",
    )
    measure = plan.measure
    caption = (
        f"PushT, {plan.seeds} seeds, {measure.starts} start states, last {len(results[0].score.steps)} "
        f"checkpoints, {measure.denoising_steps} evaluations a decision. Score: greatest coverage of an "
        "episode / 0.95, at most 1; success: coverage above 0.95. ± is half a 95% Student-t interval over "
        "seeds; the difference is paired by seed, with its interval."
    )
    return Table(caption, headers, tuple(rows), tuple(_verdicts(results, plan)))


def _verdicts(results: Sequence[PolicyResult], plan: PolicyPlan) -> list[str]:
    baseline = [one for one in results if one.pairing == plan.baseline]
    said = []
    for pairing in plan.pairings:
        if pairing == plan.baseline:
            continue
        own = [one for one in results if one.pairing == pairing]
        found = mean_over_seeds(
            [one.score.mean - base.score.mean for one, base in zip(own, baseline, strict=True)]
        )
        if found.interval is None:
            said.append(f"{pairing}: one seed cannot tell a difference from seed noise.")
        elif found.interval.low > 0 or found.interval.high < 0:
            word = "better" if found.value > 0 else "worse"
            said.append(f"{pairing} is {word} than {plan.baseline}, outside seed noise.")
        else:
            said.append(f"{pairing}: no difference from {plan.baseline} that stands out of seed noise.")
    return said


def _percent(estimate: Estimate) -> str:
    if estimate.interval is None:
        return f"{estimate.value:.1f}"
    return f"{estimate.value:.1f} ± {(estimate.interval.high - estimate.interval.low) / 2:.1f}"


def _signed(estimate: Estimate) -> str:
    text = f"{estimate.value:+.1f}"
    if estimate.interval is not None:
        text += f" ({estimate.interval.low:+.1f} to {estimate.interval.high:+.1f})"
    return text.replace("-", "−")
