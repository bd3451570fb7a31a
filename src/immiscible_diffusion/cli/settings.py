"""The options that `train` and `compare` share: an experiment by name, with what is to differ."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from immiscible_diffusion.cli.policy import AS_NAMED_POLICY, PolicySettings
from immiscible_diffusion.cli.text_to_image import AS_NAMED_TEXT, PATHS, TextToImageSettings, with_pretrained

if TYPE_CHECKING:
    from immiscible_diffusion.experiment import AnyObjective, Experiment
    from immiscible_diffusion.experiments import AnyExperiment

# Settings of the objective; the others are the experiment's.
OBJECTIVE_SETTINGS = (
    "prediction",
    "schedule",
    "min_snr_gamma",
    "sigma_data",
    "logit_mean",
    "logit_std",
    "log_mean",
    "log_std",
)


@dataclass(frozen=True)
class Settings:
    """Settings that replace the experiment's own; leave one out to keep it."""

    data: str | None = None
    """Data: digits, cifar10, fashion-mnist, a hub name, a parquet file, or a folder of those or of images;
    of a policy, a zarr archive or .npz file of demonstrations."""
    network: str | None = None
    """Network: mlp, unet-tiny, unet-small, unet-medium or unet-paper;
    of a policy, mlp-small, mlp, unet-1d-small or unet-1d; of a text-to-image model, text-unet-tiny, -small or
    -medium, text-dit-small or -medium, or stable-diffusion."""
    steps: int | None = None
    """Training steps."""
    batch_size: int | None = None
    """Images (or chunks of actions) a step, over all processes."""
    learning_rate: float | None = None
    """Learning rate after the warm-up."""
    warmup_steps: int | None = None
    """Steps over which the learning rate rises from 0."""
    ema_decay: float | None = None
    """Decay of the averaged weights that images are sampled from."""
    clip_norm: float | None = None
    """Largest gradient norm."""
    accumulation: int | None = None
    """Pieces that a step's batch is worked through in, to save memory."""
    precision: Literal["no", "bf16", "fp16"] | None = None
    """Mixed precision of the network."""
    paired_over: Literal["batch", "process"] | None = None
    """With several processes: whether noise is drawn and paired for the step's whole batch, the same
    whatever their number (assigned then spans them), or by each process for its own rows, with less work."""
    pairing_window: int | None = None
    """Successive steps whose noise is drawn and paired as one pool: for assigned, which needs many images to
    choose among, where the batch is small."""
    prediction: Literal["epsilon", "v"] | None = None
    """What a DDPM network predicts."""
    schedule: Literal["linear", "cosine", "scaled-linear"] | None = None
    """Noise schedule of DDPM; scaled-linear is Stable Diffusion's."""
    min_snr_gamma: float | None = None
    """Weigh DDPM's loss by min(SNR, gamma) / SNR; 5 is usual."""
    sigma_data: float | None = None
    """Std of the images, for EDM and consistency; by default the experiment's, in proportion to image_std."""
    logit_mean: float | None = None
    """Flow matching: draw training times with logit t ~ N(logit_mean, logit_std²), in place of uniformly; a
    mean above 0 trains more where noise is high, which paired noise asks for."""
    logit_std: float | None = None
    """Flow matching: the std of logit t, 1 by default."""
    log_mean: float | None = None
    """EDM and consistency: train at noise levels with ln σ ~ N(log_mean, log_std²); by default -1.2, for
    consistency -1.1."""
    log_std: float | None = None
    """EDM and consistency: the std of ln σ; by default 1.2, for consistency 2."""
    image_std: float | None = None
    """Nominal std that images are scaled to: 0.5 is [-1, 1]; the paper also tries 1, 2 and 4."""
    flip: bool | None = None
    """Mirror images at random."""
    class_conditional: bool | None = None
    """Train on class labels."""
    rows: int | None = None
    """Train on the first so many images only."""
    resolution: int | None = None
    """Resize and centre-crop images to this side."""
    image_column: str | None = None
    """Column of the images, where it is not found by type."""
    label_column: str | None = None
    """Column of the class labels, where it is not found by type."""
    bad_data: Literal["stop", "skip"] | None = None
    """Images or labels that cannot be used: stop before the run begins, or leave them out and say so."""
    seed: int | None = None
    """Seed of weights, data order, times and noise."""


AS_NAMED = Settings()


def chosen_experiment(
    name: str,
    settings: Settings,
    pairing: str | None = None,
    policy: PolicySettings = AS_NAMED_POLICY,
    text: TextToImageSettings = AS_NAMED_TEXT,
) -> "AnyExperiment":
    """Load a named experiment and replace what the command line sets."""
    from immiscible_diffusion.experiments import any_experiment

    values = {
        **dataclasses.asdict(settings),
        **dataclasses.asdict(policy),
        **dataclasses.asdict(text),
    }
    given = {key: value for key, value in values.items() if value is not None}
    if pairing is not None:
        given["pairing"] = pairing
    for key in PATHS:
        if given.get(key, "digits") not in ("", "digits") and Path(given[key]).expanduser().exists():
            given[key] = str(Path(given[key]).expanduser().resolve())  # a run outlives the working folder
    experiment = any_experiment(name)
    given = with_pretrained(experiment, given)
    known = {field.name for field in dataclasses.fields(experiment)}
    for key in given:
        if key not in known and key not in OBJECTIVE_SETTINGS:
            raise ValueError(f"--{key.replace('_', '-')} does not apply to {name}; leave it out")
    objective = _chosen_objective(experiment, given)
    return dataclasses.replace(experiment, **{**given, "objective": objective})


def image_experiment(name: str, settings: Settings) -> "Experiment":
    """Load a named experiment on images and replace what the command line sets; refuse other kinds."""
    from immiscible_diffusion.experiment import Experiment

    chosen = chosen_experiment(name, settings)
    if not isinstance(chosen, Experiment):
        raise ValueError(
            f"experiment {name!r} is a {chosen.kind}'s, and this command works on images; name another"
        )
    return chosen


def _chosen_objective(experiment: "AnyExperiment", given: dict[str, Any]) -> "AnyObjective":
    """Replace what `given` sets of the objective, and take it out of there."""
    from immiscible_diffusion.experiment import OBJECTIVES, Experiment, at_image_std

    fields = {name: {field.name for field in dataclasses.fields(kind)} for name, kind in OBJECTIVES.items()}
    own = {key: given.pop(key) for key in OBJECTIVE_SETTINGS if key in given}
    kind = next(name for name, one in OBJECTIVES.items() if isinstance(experiment.objective, one))
    for key in own:
        if key not in fields[kind]:
            takers = " and ".join(name for name in fields if key in fields[name])
            raise ValueError(
                f"--{key.replace('_', '-')} is for {takers}, and {experiment.name} is {kind}; leave it out"
            )
    if isinstance(experiment, Experiment) and "image_std" in given:
        experiment = at_image_std(experiment, given["image_std"])
    objective: AnyObjective = dataclasses.replace(experiment.objective, **own)
    return objective
