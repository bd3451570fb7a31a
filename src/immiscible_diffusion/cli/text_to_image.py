"""What the commands do where the experiment, or the run, is a text-to-image model's."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from immiscible_diffusion.cli.measured import Measured

if TYPE_CHECKING:
    from torch import Tensor

    from immiscible_diffusion.runs.loop import Evaluate
    from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment
    from immiscible_diffusion.text_to_image.runs import TextToImageRun


@dataclass(frozen=True)
class TextToImageSettings:
    """Settings of a text-to-image model that replace the experiment's own; leave one out to keep it."""

    autoencoder: str | None = None
    """Autoencoder: a diffusers folder or hub name, or a folder with taef2's two files."""
    text_encoder: str | None = None
    """Text encoder: a folder or hub name of a CLIP's, or clip-untrained:WIDTH."""
    vocabulary: str | None = None
    """File of CLIP's vocabulary, for clip-untrained."""
    start_from: str | None = None
    """Stable Diffusion pipeline to fine-tune, a diffusers folder or hub name."""
    lora_rank: int | None = None
    """Rank of the adapter (LoRA) to train in place of the whole network."""
    prompt_column: str | None = None
    """Column of the captions; class names where there is none."""
    template: str | None = None
    """What is said of a class, {} standing for its name, such as "a photo of a {}"."""
    prompt_dropout: float | None = None
    """Share of rows trained with the empty prompt, for guidance."""
    noise_offset: float | None = None
    """Std of what is added to each channel of the paired noise; 0.05 to 0.1 is usual."""
    guidance: float | None = None
    """Guidance that sheets and measurements of a run are sampled with; 1 for none."""
    crops: int | None = None
    """Random crops of each image that are encoded in place of its middle; 0 for the middle."""
    encode_precision: Literal["no", "bf16"] | None = None
    """Precision of the autoencoder's work while images are encoded."""
    latents: str | None = None
    """Folder of encoded images; by default one in the cache."""
    gradient_checkpointing: bool | None = None
    """Compute activations again in the backward pass, to save memory."""
    optimiser: Literal["adamw", "adamw-8bit"] | None = None
    """AdamW, or that of bitsandbytes with 8 bits."""


AS_NAMED_TEXT = TextToImageSettings()
# Settings that name a file or folder, if there is one of that name.
PATHS = ("data", "autoencoder", "text_encoder", "vocabulary", "start_from", "latents")


def with_pretrained(experiment: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is replaced by something trained, that the experiment would name.

    With --start-from these are network, autoencoder and text encoder, with a trained --text-encoder the
    vocabulary.
    """
    if "text_encoder" in given and "vocabulary" not in given:
        from immiscible_diffusion.text_to_image.text_encoders import UNTRAINED

        if not given["text_encoder"].startswith(UNTRAINED):
            given = given | {"vocabulary": ""}
    if not given.get("start_from"):
        return given
    own = {"network": "pretrained", "autoencoder": "", "text_encoder": "", "vocabulary": ""}
    return {name: value for name, value in own.items() if hasattr(experiment, name)} | given


def begin_text_to_image(
    chosen: "TextToImageExperiment", folder: Path, resume: bool, log_with: str, processes: int | None
) -> "tuple[TextToImageRun, str]":
    """Open a run and say what it trains."""
    from immiscible_diffusion.networks import parameter_count
    from immiscible_diffusion.processes import devices
    from immiscible_diffusion.text_to_image.runs import open_text_to_image_run

    run = open_text_to_image_run(
        chosen,
        folder,
        resume=resume,
        log_with=log_with,
        report=lambda text: print(text, flush=True),
        processes=processes,
    )
    latents, prompts = run.data.latents, run.data.prompts.prompts
    shape = "×".join(map(str, latents.shape))
    adapter = f", LoRA of rank {chosen.lora_rank}" if chosen.lora_rank else ""
    said = (
        f"{chosen.name}: {len(latents):,} latents of {shape}, prompts from {prompts.origin}, "
        f"{chosen.network} with {parameter_count(run.network):,} trained parameters{adapter} on "
        f"{devices(run.accelerator)}, pairing {run.pairing}"
    )
    return run, said


def text_to_image_distance(
    run: "TextToImageRun", features: str, weights: Path | None, evaluations: int, count: int
) -> "Evaluate":
    """Prepare what measures the run's network while it trains."""
    from immiscible_diffusion.evaluation import feature_network, prepare_reference
    from immiscible_diffusion.text_to_image.scoring import real_images, run_record

    images = real_images(run.loaded)
    reference = prepare_reference(images.pixels, feature_network(features, images, weights=weights))
    return lambda network: run_record(run, network, reference, evaluations, count)


def sample_text_to_image(
    run: Path,
    checkpoint: str,
    count: int,
    evaluations: int | None,
    sampler: str | None,
    tolerance: float | None,
    prompts: list[str] | None,
    guidance: float | None,
    seed: int,
) -> "tuple[Tensor, int, str]":
    """Sample images for prompts in turn, by default the data's; give them, the step and what was done."""
    import torch
    from accelerate import Accelerator

    from immiscible_diffusion.generation import counted_evaluations
    from immiscible_diffusion.randomness import generator_for
    from immiscible_diffusion.sampling import ADAPTIVE
    from immiscible_diffusion.text_to_image.generation import draw_images, embed_texts, spread_rows
    from immiscible_diffusion.text_to_image.runs import load_text_to_image_data
    from immiscible_diffusion.text_to_image.trained_model import load_trained_text_to_image

    trained = load_trained_text_to_image(run, checkpoint).moved(Accelerator().device)
    experiment = trained.experiment
    if prompts:
        embeddings = embed_texts(trained.encoder, prompts)[torch.arange(count) % len(prompts)]
    else:
        data = load_text_to_image_data(experiment).training
        rows = spread_rows(len(data.latents), count)
        embeddings = data.prompts.of(rows, torch.zeros_like(rows))
    if evaluations is None and sampler != ADAPTIVE:
        evaluations = experiment.objective.evaluations[-1]
    scale = experiment.guidance if guidance is None else guidance
    with counted_evaluations(trained.network) as counted:
        pixels = draw_images(
            trained.model,
            embeddings,
            evaluations,
            generator_for(seed, "samples"),
            guidance=scale,
            sampler=sampler,
            tolerance=tolerance,
        )
    said = f"{counted.per_image(count):g} network evaluations each, guidance {scale:g}"
    return pixels, trained.step, said


def measured_text_to_image(run: Path, checkpoint: str, data: str | None, guidance: float | None) -> Measured:
    """Load a run for `immiscible evaluate`."""
    from accelerate import Accelerator

    from immiscible_diffusion.evaluation import Distances, Reference
    from immiscible_diffusion.text_to_image.generation import drawn_texts
    from immiscible_diffusion.text_to_image.runs import load_text_to_image_data
    from immiscible_diffusion.text_to_image.scoring import real_images, score_text_to_image
    from immiscible_diffusion.text_to_image.trained_model import load_trained_text_to_image

    trained = load_trained_text_to_image(run, checkpoint).moved(Accelerator().device)
    experiment = trained.experiment
    if data is not None:
        experiment = dataclasses.replace(experiment, data=data)
    loaded = load_text_to_image_data(experiment)
    scale = experiment.guidance if guidance is None else guidance

    def score(
        reference: Reference,
        steps: tuple[int | None, ...],
        count: int,
        sampler: str | None,
        tolerance: float | None,
        report: Callable[[int | None, Distances], None],
    ) -> "dict[int | None, Tensor]":
        return score_text_to_image(
            trained.model,
            loaded.training.prompts,
            experiment.seed,
            scale,
            reference,
            steps,
            count,
            sampler=sampler,
            tolerance=tolerance,
            report=report,
        )[1]

    def prompts(count: int) -> list[str]:
        return drawn_texts(loaded.training.prompts, experiment.seed, count)

    images = real_images(loaded)
    return Measured(experiment, trained.step, trained.network, images, score, {"guidance": scale}, prompts)


def export_text_to_image_run(
    run: Path, checkpoint: str, out: Path | None, repository: str | None
) -> tuple[Path, str, int, str]:
    """Write a run for diffusers; give the folder, what it holds, the step and the run's name."""
    from immiscible_diffusion.text_to_image.pipelines import LORA, export_text_to_image
    from immiscible_diffusion.text_to_image.trained_model import load_trained_text_to_image

    trained = load_trained_text_to_image(run, checkpoint)
    kind = LORA.lower() if trained.experiment.lora_rank else "pipeline"
    folder = out or run / f"{kind}-step{trained.step}"
    name = export_text_to_image(trained, run, folder, repository)
    return folder, name, trained.step, f"{trained.experiment.name}, {trained.experiment.pairing}"
