"""What `train`, `evaluate` and `compare` do where the experiment, or the run, is a policy's."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from immiscible_diffusion.cli.step_bar import step_bar

if TYPE_CHECKING:
    from immiscible_diffusion.policy.comparison import PolicyPlan
    from immiscible_diffusion.policy.experiment import PolicyExperiment
    from immiscible_diffusion.policy.rollouts import Episode
    from immiscible_diffusion.policy.runs import PolicyRun
    from immiscible_diffusion.policy.scoring import Measure

SHEET_FRAME, VIDEO_FRAME = 128, 256  # pixels
SKEWED = 0.01  # share of the observation's variance that is warned of


@dataclass(frozen=True)
class PolicySettings:
    """Settings of a policy (pusht) that replace the experiment's own; leave one out to keep it."""

    observations: Literal["state", "keypoint"] | None = None
    """What the policy sees: agent and block pose (5 numbers), or 9 keypoints and the agent (20)."""
    episodes: int | None = None
    """Demonstrations to train on, chosen as published."""
    pairing_start: int | None = None
    """Epochs of unpaired noise before pairing begins."""
    pairing_standardise: bool | None = None
    """Choose noise against actions at mean 0 and std 1 over the batch."""
    pairing_cluster: int | None = None
    """Choose noise within groups of so many rows with similar observations."""


@dataclass(frozen=True)
class Scoring:
    """How a policy (pusht) is scored."""

    starts: int = 50
    """Start states, the published ones."""
    denoising_steps: int = 10
    """Network evaluations for each decision of the policy: DDIM or Euler steps."""
    last: int = 10
    """Newest checkpoints to average over, 10 at most."""
    mode_starts: int = 10
    """Start states that the ways round the block are counted from; 0 to leave it out."""
    mode_samples: int = 10
    """Episodes from each of them."""
    videos: int = 1
    """Start states to draw as GIFs and on one sheet."""

    def measure(self) -> "Measure":
        from immiscible_diffusion.policy.scoring import Measure

        values = dataclasses.asdict(self)
        if values.pop("videos") < 0:
            raise ValueError(f"videos must be 0 or more, got {self.videos}")
        return Measure(**values)


AS_NAMED_POLICY = PolicySettings()
AS_PUBLISHED = Scoring()


def refuse(command: Callable[..., None], given: Mapping[str, Any], what: str) -> None:
    """Refuse options of `command` that differ from their defaults though they say nothing about `what`."""
    parameters = inspect.signature(command).parameters
    for name, value in given.items():
        if value != parameters[name].default:
            changed = name
            if dataclasses.is_dataclass(value):  # a group of options
                plain = parameters[name].default
                changed = next(key for key in vars(value) if vars(value)[key] != vars(plain)[key])
            raise ValueError(f"--{changed.replace('_', '-')} does not apply to {what}; leave it out")


def train_policy(
    chosen: "PolicyExperiment",
    folder: Path,
    resume: bool,
    checkpoint_every: int | None,
    log_every: int,
    log_with: str,
    processes: int | None,
) -> None:
    from immiscible_diffusion.networks import parameter_count
    from immiscible_diffusion.policy.runs import advance_policy, open_policy_run
    from immiscible_diffusion.processes import leave

    run = open_policy_run(chosen, folder, resume=resume, log_with=log_with, processes=processes)
    main = run.accelerator.is_main_process
    if main:
        print(
            f"{chosen.name}: {len(run.chunks):,} chunks of {chosen.horizon} actions, {chosen.network} with "
            f"{parameter_count(run.network):,} parameters on {run.accelerator.device}, pairing {run.pairing}"
        )
        if run.start.step:
            print(f"Going on from step {run.start.step:,}")
        elif warning := _skew_warning(run):
            print(warning)
    bar = step_bar(chosen.steps, run.start.step, shown=main)
    try:
        with bar:
            for done in advance_policy(run, checkpoint_every=checkpoint_every, log_every=log_every):
                bar.update()
                if done.step == chosen.steps or (log_every and done.step % log_every == 0):
                    bar.set_postfix({"loss": f"{float(done.loss):.4f}"}, refresh=False)
    except KeyboardInterrupt as stopped:
        if main:
            print(f"\nStopped: {stopped}. To go on, give the same command with --resume.")
        raise SystemExit(130) from None
    leave(run.accelerator)
    if main:
        print(f"Run folder: {folder}\nNext: immiscible evaluate {folder}")


def _skew_warning(run: "PolicyRun") -> str | None:
    """What a trainer should know of their pairing before the first step; None where it tells nothing."""
    from immiscible_diffusion.policy.skew import noise_skew

    if run.experiment.pairing == "independent":
        return None
    told = noise_skew(run.experiment, run.chunks, run.pairing)  # a second or two
    if told < SKEWED:
        return None
    return (
        f"warning: with {run.experiment.pairing} the noise alone tells {told:.0%} of the observation's "
        "variance, and that of sampling will not; on PushT such policies were worse than those of "
        "independent noise (docs/robotics.md)"
    )


def evaluate_policy(run: Path, scoring: Scoring, jobs: int | None) -> None:
    from immiscible_diffusion.comparison.parallel import default_jobs
    from immiscible_diffusion.policy.experiment import policy_from_json
    from immiscible_diffusion.policy.kept import kept_policies
    from immiscible_diffusion.policy.scoring import score_run, write_score

    measure = scoring.measure()
    experiment = policy_from_json((run / "config.json").read_text())
    steps = kept_policies(run)[-measure.last :]
    print(
        f"{experiment.name}, {experiment.pairing}, checkpoints {steps[0]:,} to {steps[-1]:,} ({len(steps)}): "
        f"{measure.starts} start states, {measure.denoising_steps} evaluations a decision"
    )
    score = score_run(
        run, measure, jobs=jobs or default_jobs(2 * len(steps)), report=lambda text: print(text, flush=True)
    )
    interval = "" if score.interval is None else f" ({score.interval.low:.1%} to {score.interval.high:.1%})"
    print(f"Mean score (greatest coverage / 0.95, at most 1): {score.mean:.1%}{interval} over start states")
    print(f"Best checkpoint {score.best:.1%}, mean greatest coverage {score.coverage:.1%}")
    print(f"Success (coverage above 0.95): {score.success:.1%}")
    if score.mode_entropy is not None:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in score.mode_shares.items())
        print(f"Ways round the block from one start: {score.mode_entropy:.2f} bits ({shares})")
    print(f"Wrote {write_score(run, measure, score)}")
    if scoring.videos:
        _draw({experiment.pairing: run}, measure, scoring.videos, run)


def compare_policies(
    experiment: "PolicyExperiment", plan: "PolicyPlan", scoring: Scoring, folder: Path, jobs: int | None
) -> None:
    from rich.console import Console

    from immiscible_diffusion.atomic_files import write_text
    from immiscible_diffusion.comparison.table import markdown_table, rich_table
    from immiscible_diffusion.policy import comparison

    try:
        results = comparison.compare_policies(
            experiment, plan, folder, lambda text: print(text, flush=True), jobs
        )
    except KeyboardInterrupt:
        print(f"\nStopped; what was trained is in {folder}. Give the same command again to go on.")
        raise SystemExit(130) from None
    table = comparison.policy_table(results, plan)
    Console().print(rich_table(table))
    write_text(folder / "results.md", markdown_table(table))
    print(f"Wrote {folder / 'results.json'} and {folder / 'results.md'}")
    if scoring.videos:
        firsts = {one.pairing: Path(one.folder) for one in results if one.seed == experiment.seed}
        _draw(firsts, plan.measure, scoring.videos, folder)


def _draw(runs: Mapping[str, Path], measure: "Measure", count: int, folder: Path) -> None:
    """Draw the first start states, not chosen ones, under each run's newest policy."""
    from immiscible_diffusion.policy.scoring import drawn_episodes
    from immiscible_diffusion.policy.videos import contact_sheet, save_gif

    rows: dict[str, Episode] = {}
    for pairing, run in runs.items():
        for number, episode in enumerate(drawn_episodes(run, measure, count, VIDEO_FRAME)):
            rows[f"{pairing}, start {number}"] = episode
            save_gif(episode, folder / "videos" / f"{pairing.replace(':', '-')}-start{number}.gif")
    contact_sheet(dict(sorted(rows.items(), key=lambda row: row[0].split()[-1])), SHEET_FRAME).save(
        folder / "videos" / "sheet.png"
    )
    print(f"Wrote {len(rows)} GIFs and sheet.png to {folder / 'videos'}")
