"""How well a run's policies push: the published metric over start states and the last checkpoints."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from immiscible_diffusion.atomic_files import write_text
from immiscible_diffusion.comparison.parallel import Report, in_processes
from immiscible_diffusion.comparison.statistics import Interval, student_t_interval
from immiscible_diffusion.policy.environment import SUCCESS, published_starts
from immiscible_diffusion.policy.experiment import policy_from_json
from immiscible_diffusion.policy.kept import KEPT, kept_policies, load_policy
from immiscible_diffusion.policy.modes import Mode, mode_entropy, mode_of
from immiscible_diffusion.policy.rollouts import Episode, policy_controller, run_episodes
from immiscible_diffusion.randomness import derived_seed

GROUP = 25  # episodes that ask the network for actions together; fixed, so that rounding is too


@dataclass(frozen=True)
class Measure:
    """How policies are scored.

    starts: start states, the published ones from seed 100000 on. denoising_steps: network evaluations a
    decision (DDIM or Euler steps). last: how many of the newest checkpoints. mode_starts, mode_samples: start
    states, and episodes from each, that the mode entropy of the newest is taken over (0: not measured).
    mode_steps: steps of these episodes. Raises ValueError for a value out of range.
    """

    starts: int = 50
    denoising_steps: int = 10
    last: int = KEPT
    mode_starts: int = 10
    mode_samples: int = 10
    mode_steps: int = 100

    def __post_init__(self) -> None:
        for name in ("starts", "denoising_steps", "last", "mode_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.last > KEPT:
            raise ValueError(f"last must be {KEPT} at most, a run keeps no more checkpoints, got {self.last}")
        if self.mode_starts < 0 or (self.mode_starts and self.mode_samples < 2):
            raise ValueError(
                f"mode_starts must be 0 or more and mode_samples 2 or more, got {self.mode_starts} "
                f"and {self.mode_samples}"
            )


@dataclass(frozen=True)
class PolicyScore:
    """A run's scores; rows are checkpoints in order of step, columns start states."""

    steps: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]  # greatest clip(coverage / 0.95, 0, 1), the published metric
    coverages: tuple[tuple[float, ...], ...]  # greatest coverage, unclipped
    mode_entropy: float | None  # bits, of the newest checkpoint
    mode_shares: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean score over start states and checkpoints (0 to 1): the published "last 10 checkpoints"."""
        return float(np.mean(self.scores))

    @property
    def best(self) -> float:
        """The best checkpoint's mean score, the published "max": chosen on the tests, so it flatters."""
        return float(np.mean(self.scores, axis=1).max())

    @property
    def coverage(self) -> float:
        return float(np.mean(self.coverages))

    @property
    def success(self) -> float:
        """Share of episodes above 0.95 coverage."""
        return float(np.mean(np.array(self.coverages) > SUCCESS))

    @property
    def interval(self) -> Interval | None:
        """95 % interval of the mean score over start states (Student t), this run's weights given."""
        return student_t_interval(np.mean(self.scores, axis=0).tolist())


def score_run(
    folder: Path, measure: Measure, *, jobs: int = 1, report: Report = lambda text: None
) -> PolicyScore:
    """Score the newest checkpoints of a run, `jobs` groups of episodes at once in processes of their own.

    The noise of every decision depends on the run's seed, the start state and the decision alone; so pairings
    are compared on equal noise, and the number of jobs changes nothing.
    """
    steps = kept_policies(folder)[-measure.last :]
    groups = [
        list(range(first, min(first + GROUP, measure.starts))) for first in range(0, measure.starts, GROUP)
    ]
    tasks = [(folder, step, group, measure, False) for step in steps for group in groups]
    for first in range(0, measure.mode_starts * measure.mode_samples, GROUP):
        end = min(first + GROUP, measure.mode_starts * measure.mode_samples)
        tasks.append((folder, steps[-1], list(range(first, end)), measure, True))
    if jobs > 1:
        done = in_processes(_episodes, tasks, jobs, report)
    else:
        done = [_episodes(*task, report) for task in tasks]
    plain = [episodes for episodes, task in zip(done, tasks, strict=True) if not task[4]]
    moded = [one for episodes, task in zip(done, tasks, strict=True) if task[4] for one in episodes]
    by_step = [
        [one for part in plain[row * len(groups) : (row + 1) * len(groups)] for one in part]
        for row in range(len(steps))
    ]
    entropy: float | None = None
    shares: dict[str, float] = {}
    if moded:
        by_start = [
            moded[number * measure.mode_samples : (number + 1) * measure.mode_samples]
            for number in range(measure.mode_starts)
        ]
        entropy = mode_entropy(by_start)
        modes: list[Mode] = [mode_of(one.states, one.contacts.tolist()) for one in moded]
        shares = {mode: modes.count(mode) / len(modes) for mode in sorted(set(modes))}
    return PolicyScore(
        tuple(steps),
        tuple(tuple(one.score for one in row) for row in by_step),
        tuple(tuple(one.max_coverage for one in row) for row in by_step),
        entropy,
        shares,
    )


def _episodes(
    folder: Path, step: int, numbers: list[int], measure: Measure, moded: bool, report: Report
) -> list[Episode]:
    """Run one group of episodes, numbered over all start states (and samples, for modes)."""
    policy = load_policy(folder, step)
    seed = policy.experiment.seed
    if moded:
        starts = np.repeat(published_starts(measure.mode_starts), measure.mode_samples, axis=0)[numbers]
        seed = derived_seed(seed, "samples")  # other noise than that of the scores
    else:
        starts = published_starts(measure.starts)[numbers]
    controller = policy_controller(policy, measure.denoising_steps, seed, numbers)
    if moded:
        return run_episodes(controller, starts, most_steps=measure.mode_steps)
    episodes = run_episodes(controller, starts)
    mean = np.mean([one.score for one in episodes])
    report(f"step {step:,}, starts {numbers[0]}–{numbers[-1]}: score {mean:.3f}")
    return episodes


def drawn_episodes(folder: Path, measure: Measure, count: int, side: int) -> list[Episode]:
    """The newest policy's episodes from the first `count` start states, with frames of `side` pixels."""
    policy = load_policy(folder, kept_policies(folder)[-1])
    numbers = list(range(count))
    controller = policy_controller(policy, measure.denoising_steps, policy.experiment.seed, numbers)
    return run_episodes(controller, published_starts(count), frame_side=side)


def write_score(folder: Path, measure: Measure, score: PolicyScore) -> Path:
    """Write evaluation.json into a run's folder."""
    experiment = policy_from_json((folder / "config.json").read_text())
    result: dict[str, Any] = {
        "measure": dataclasses.asdict(measure),
        "pairing": experiment.pairing,
        "seed": experiment.seed,
        "sampler": experiment.objective.samplers[0],
        "mean_score": score.mean,
        "interval": None if score.interval is None else [score.interval.low, score.interval.high],
        "best_checkpoint_score": score.best,
        "mean_max_coverage": score.coverage,
        "success_rate": score.success,
        **dataclasses.asdict(score),
    }
    file = folder / "evaluation.json"
    write_text(file, json.dumps(result, indent=1) + "\n")
    return file


def read_score(folder: Path, measure: Measure) -> PolicyScore | None:
    """Read evaluation.json back where it was measured in the same way, else None."""
    file = folder / "evaluation.json"
    if not file.exists():
        return None
    result = json.loads(file.read_text())
    if result["measure"] != dataclasses.asdict(measure):
        return None
    return PolicyScore(
        tuple(result["steps"]),
        tuple(map(tuple, result["scores"])),
        tuple(map(tuple, result["coverages"])),
        result["mode_entropy"],
        result["mode_shares"],
    )
