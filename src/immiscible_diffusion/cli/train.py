"""`immiscible train`: one run in a folder of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from immiscible_diffusion.cli.policy import AS_NAMED_POLICY, PolicySettings, refuse, train_policy
from immiscible_diffusion.cli.settings import AS_NAMED, Settings, chosen_experiment
from immiscible_diffusion.cli.step_bar import step_bar
from immiscible_diffusion.cli.text_to_image import (
    AS_NAMED_TEXT,
    TextToImageSettings,
    begin_text_to_image,
    text_to_image_distance,
)

if TYPE_CHECKING:
    from immiscible_diffusion.experiment import Experiment
    from immiscible_diffusion.pairing.skew import Skew
    from immiscible_diffusion.runs.images import Run
    from immiscible_diffusion.runs.loop import Evaluate
    from immiscible_diffusion.training import TrainingStep


def train(
    experiment: Annotated[str, tyro.conf.Positional],
    settings: Annotated[Settings, tyro.conf.arg(name="")] = AS_NAMED,
    policy: Annotated[PolicySettings, tyro.conf.arg(name="")] = AS_NAMED_POLICY,
    text: Annotated[TextToImageSettings, tyro.conf.arg(name="")] = AS_NAMED_TEXT,
    pairing: str | None = None,
    k: float | None = None,
    rule: str | None = None,
    centre: Literal["data", "none", "batch"] | None = None,
    out: Path | None = None,
    resume: bool = False,
    checkpoint_every: int | None = None,
    sheet_every: int = 500,
    log_every: int = 20,
    log_with: str = "tensorboard",
    keep: int = 2,
    evaluate_every: int = 0,
    evaluate_at: int | None = None,
    evaluate_count: int = 2000,
    features: str = "auto",
    weights: Path | None = None,
    skip_limit: int = 10,
    compile: bool = False,
    processes: int | None = None,
) -> None:
    """Train a model and write checkpoints, metrics, TensorBoard files and sample sheets.

    Args:
        experiment: digits-, fashion-mnist- or cifar10-, then ddim, edm, flow or consistency;
            a policy: pusht, pusht-small or pusht-small-flow; or a text-to-image model:
            tiny-imagenet-latent, flickr8k-latent, emoji-latent, imagenet-stable-diffusion,
            imagenet-fine-tune or mscoco-stable-diffusion.
        settings: Settings that replace the experiment's own.
        policy: Settings of a policy.
        text: Settings of a text-to-image model.
        pairing: independent, nearest or assigned; or in short, such as nearest:8:uncentred.
        k: Candidate noises an image, for nearest.
        rule: Which candidate nearest keeps: l2 (least distance, the paper's) or dot (largest inner product).
        centre: What nearest subtracts from the images before choosing: the data's mean image, nothing (the
            paper's way), or the batch's mean.
        out: Folder of the run; by default runs/EXPERIMENT-PAIRING-seedN.
        resume: Go on from the newest checkpoint in the run's folder.
        checkpoint_every: Steps between checkpoints, by default 500; 0 for one at the end only. Of a policy by
            default a sixtieth of the run.
        sheet_every: Steps between sample sheets; 0 for none.
        log_every: Steps between lines in metrics.jsonl.
        log_with: Where metrics go as well: tensorboard, none, or another tracker that is installed (wandb,
            trackio, aim, comet_ml, mlflow, clearml, dvclive, swanlab).
        keep: Newest checkpoints to keep; the best is kept besides.
        evaluate_every: Steps between measurements of the averaged weights' distance to the data, by which
            the best checkpoint is kept; 0 for none.
        evaluate_at: Sampler steps of these measurements; by default 20, for a consistency model 1.
        evaluate_count: Images sampled for each of them.
        features: Network whose features are compared: auto, inception, probe, resnet or pixels.
        weights: File of the feature network's weights, for inception and resnet.
        skip_limit: Steps in a row whose loss or gradient is not finite to stop after; such a step changes
            nothing and is counted.
        compile: Compile the network with torch.compile for training.
        processes: How many processes there are to be; an error where the launcher started another number.
    """
    chosen = chosen_experiment(experiment, settings, _short_name(pairing, k, rule, centre), policy, text)
    folder = out or Path("runs") / f"{chosen.name}-{chosen.pairing.replace(':', '-')}-seed{chosen.seed}"

    images_only = {
        "sheet_every": sheet_every,
        "keep": keep,
        "evaluate_every": evaluate_every,
        "evaluate_at": evaluate_at,
        "evaluate_count": evaluate_count,
        "features": features,
        "weights": weights,
        "skip_limit": skip_limit,
        "compile": compile,
    }

    from immiscible_diffusion.experiment import Experiment
    from immiscible_diffusion.policy.experiment import PolicyExperiment
    from immiscible_diffusion.processes import leave
    from immiscible_diffusion.runs.loop import Schedule

    if isinstance(chosen, PolicyExperiment):
        refuse(train, images_only, "a policy")
        return train_policy(chosen, folder, resume, checkpoint_every, log_every, log_with, processes)
    every = 500 if checkpoint_every is None else checkpoint_every
    schedule = Schedule(every, sheet_every, log_every, evaluate_every, keep, skip_limit)
    at = chosen.objective.judged_at if evaluate_at is None else evaluate_at
    for name, value, least in (("evaluate_at", at, 1), ("evaluate_count", evaluate_count, 2)):
        if evaluate_every and value < least:
            raise ValueError(f"{name} must be {least} or more, got {value}")
    kind = _kind(isinstance(chosen, Experiment))
    run, said = kind.begin(chosen, folder, resume, log_with, processes)
    first = run.accelerator.is_main_process
    measured = evaluate_every and first
    evaluate = kind.measure(run, features, weights, at, evaluate_count) if measured else None
    steps = kind.advance(run, schedule, evaluate=evaluate, compile=compile)
    say = print if first else lambda *text: None
    say(said)
    if run.start.step:
        say(f"Going on from step {run.start.step:,}")
    elif first:
        for advice in _advice(kind, chosen, run):
            say(advice)
    try:
        _walk(steps, chosen, run.start.step, log_every, shown=first)
    except KeyboardInterrupt as stopped:
        said = f"{stopped}. To go on, give the same command with --resume" if str(stopped) else "nothing done"
        say(f"\nStopped: {said} (run folder: {folder}).")
        raise SystemExit(130) from None
    leave(run.accelerator)
    say(f"Run folder: {folder}\nNext: immiscible sample {folder}   or   immiscible evaluate {folder}")
    return None


def _advice(kind: "_Kind", chosen: Any, run: Any) -> "Iterator[str]":
    """What a trainer should know of their pairing before the first step."""
    from immiscible_diffusion.training_advice import training_advice

    if (skew := kind.skew(chosen, run.data, run.pairing)) is not None and skew.stands_out:
        yield (
            f"warning: with {chosen.pairing} the noise alone tells the {kind.condition} ({skew}), and that "
            f"of sampling will not; --pairing assigned:within permutes noise within a {kind.condition} only"
        )
    pretrained = bool(getattr(chosen, "start_from", None))
    if advice := training_advice(chosen.objective, chosen.pairing, pretrained):
        yield advice


def _walk(steps: "Iterator[TrainingStep]", chosen: Any, begun: int, log_every: int, shown: bool) -> None:
    """Train to the end under a progress bar."""
    with step_bar(chosen.steps, begun, shown=shown) as bar:
        for done in steps:
            bar.update()
            if done.step == chosen.steps or (log_every and done.step % log_every == 0):
                rate = f"{chosen.batch_size / done.seconds:,.0f}"
                bar.set_postfix({"loss": f"{float(done.loss):.4f}", "images/s": rate}, refresh=False)


@dataclass(frozen=True)
class _Kind:
    """What training differs by between images and text-to-image models."""

    begin: Callable[..., tuple[Any, str]]  # as `_begin`
    measure: Callable[..., "Evaluate"]  # as `_distance`
    advance: Callable[..., "Iterator[TrainingStep]"]
    skew: Callable[..., "Skew | None"]  # experiment, data, pairing -> how much noise tells of the condition
    condition: str


def _kind(images: bool) -> _Kind:
    if images:
        from immiscible_diffusion.conditioning import run_skew
        from immiscible_diffusion.runs.images import advance

        return _Kind(_begin, _distance, advance, run_skew, "class")
    from immiscible_diffusion.text_to_image.runs import advance_text_to_image
    from immiscible_diffusion.text_to_image.skew import text_skew

    begin, measure = begin_text_to_image, text_to_image_distance
    return _Kind(begin, measure, advance_text_to_image, text_skew, "prompt")


def _begin(
    chosen: "Experiment", folder: Path, resume: bool, log_with: str, processes: int | None
) -> "tuple[Run, str]":
    """Open a run on images and say what it trains."""
    from immiscible_diffusion.networks import parameter_count
    from immiscible_diffusion.processes import devices
    from immiscible_diffusion.runs.images import open_run

    run = open_run(chosen, folder, resume=resume, log_with=log_with, processes=processes)
    shape = "×".join(map(str, run.data.shape))
    said = (
        f"{chosen.name}: {len(run.data.pixels):,} images of {shape}, {chosen.network} with "
        f"{parameter_count(run.network):,} parameters on {devices(run.accelerator)}, pairing {run.pairing}"
    )
    if run.data.skipped_rows:
        said += f"\nLeft out as bad: {len(run.data.skipped_rows):,} rows (numbers in {folder / 'data.json'})"
    return run, said


def _distance(run: "Run", features: str, weights: Path | None, evaluations: int, count: int) -> "Evaluate":
    """Prepare what measures the run's network while it trains."""
    from immiscible_diffusion.evaluation import feature_network, prepare_reference
    from immiscible_diffusion.scoring import distance_record

    reference = prepare_reference(run.data.pixels, feature_network(features, run.data, weights=weights))
    return lambda network: distance_record(run.experiment, network, run.data, reference, evaluations, count)


def _short_name(
    pairing: str | None, k: float | None, rule: str | None, centre: Literal["data", "none", "batch"] | None
) -> str | None:
    """Put --pairing, --k, --rule and --centre together to one short name; None where none is given."""
    if pairing is None and (k, rule, centre) == (None, None, None):
        return None
    words = {None: None, "data": "centred", "none": "uncentred", "batch": "batch"}
    options = [None if k is None else f"{k:.12g}", rule, words[centre]]
    return ":".join([pairing or "nearest", *(option for option in options if option is not None)])
