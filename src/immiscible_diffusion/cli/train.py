"""`immiscible train`: one run in a folder of its own."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from immiscible_diffusion.cli.settings import AS_NAMED, Settings, chosen_experiment


def train(
    experiment: Annotated[str, tyro.conf.Positional],
    settings: Annotated[Settings, tyro.conf.arg(name="")] = AS_NAMED,
    pairing: str | None = None,
    k: float | None = None,
    rule: str | None = None,
    centre: Literal["data", "none", "batch"] | None = None,
    out: Path | None = None,
    resume: bool = False,
    checkpoint_every: int = 500,
    sheet_every: int = 500,
    log_every: int = 20,
) -> None:
    """Train a model and write checkpoints, metrics, TensorBoard files and sample sheets.

    Args:
        experiment: digits-ddim, digits-flow, fashion-mnist-ddim, fashion-mnist-flow, cifar10-ddim or
            cifar10-flow.
        settings: Settings that replace the experiment's own.
        pairing: independent, nearest or assigned; or in short, such as nearest:8:uncentred.
        k: Candidate noises an image, for nearest.
        rule: Which candidate nearest keeps: l2 (least distance, the paper's) or dot (largest inner product).
        centre: What nearest subtracts from the images before choosing: the data's mean image, nothing (the
            paper's way), or the batch's mean.
        out: Folder of the run; by default runs/EXPERIMENT-PAIRING-seedN.
        resume: Go on from the newest checkpoint in the run's folder.
        checkpoint_every: Steps between checkpoints; 0 for one at the end only.
        sheet_every: Steps between sample sheets; 0 for none.
        log_every: Steps between lines in metrics.jsonl.
    """
    chosen = chosen_experiment(experiment, settings, _short_name(pairing, k, rule, centre))
    folder = out or Path("runs") / f"{chosen.name}-{chosen.pairing.replace(':', '-')}-seed{chosen.seed}"

    from tqdm import tqdm

    from immiscible_diffusion.networks import parameter_count
    from immiscible_diffusion.runs import advance, open_run

    run = open_run(chosen, folder, resume=resume)
    say = print if run.accelerator.is_main_process else lambda *text: None
    shape = "×".join(map(str, run.data.shape))
    say(
        f"{chosen.name}: {len(run.data.pixels):,} images of {shape}, {chosen.network} with "
        f"{parameter_count(run.network):,} parameters on {run.accelerator.device}, pairing {run.pairing}"
    )
    if run.first_step:
        say(f"Going on from step {run.first_step:,}")
    bar = tqdm(
        total=chosen.steps,
        initial=run.first_step,
        unit="step",
        disable=not run.accelerator.is_main_process,
        file=sys.stderr,
        smoothing=0.05,
        mininterval=1.0,
    )
    steps = advance(run, checkpoint_every=checkpoint_every, sheet_every=sheet_every, log_every=log_every)
    try:
        with bar:
            for done in steps:
                bar.update()
                if done.step % log_every == 0 or done.step == chosen.steps:
                    rate = f"{chosen.batch_size / done.seconds:,.0f}"
                    bar.set_postfix({"loss": f"{float(done.loss):.4f}", "images/s": rate}, refresh=False)
    except KeyboardInterrupt:
        say(f"\nStopped and saved. To go on, give the same command with --resume (run folder: {folder}).")
        raise SystemExit(130) from None
    say(f"Run folder: {folder}\nNext: immiscible sample {folder}   or   immiscible evaluate {folder}")


def _short_name(
    pairing: str | None, k: float | None, rule: str | None, centre: Literal["data", "none", "batch"] | None
) -> str | None:
    """Put --pairing, --k, --rule and --centre together to one short name; None where none is given."""
    if pairing is None and (k, rule, centre) == (None, None, None):
        return None
    words = {None: None, "data": "centred", "none": "uncentred", "batch": "batch"}
    options = [None if k is None else f"{k:.12g}", rule, words[centre]]
    return ":".join([pairing or "nearest", *(option for option in options if option is not None)])
