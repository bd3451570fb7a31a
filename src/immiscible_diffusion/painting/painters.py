"""What paints holes: a run of images, a text-to-image run, or a diffusers pipeline."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.editing import Space, pixel_space, repaint
from immiscible_diffusion.painting.originals import Originals, Source, spread_originals
from immiscible_diffusion.painting.pipelines import open_inpainting, paint_by_pipeline, pipeline_side
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.runs.folder import load_data
from immiscible_diffusion.runs.trained_model import TrainedModel, load_trained
from immiscible_diffusion.text_to_image.autoencoders import decode, encode
from immiscible_diffusion.text_to_image.experiment import is_text_to_image_run
from immiscible_diffusion.text_to_image.generation import embed_texts, spread_rows
from immiscible_diffusion.text_to_image.guidance import Guided, check_guidance
from immiscible_diffusion.text_to_image.runs import load_text_to_image_data
from immiscible_diffusion.text_to_image.scoring import real_images
from immiscible_diffusion.text_to_image.trained_model import TrainedTextToImage, load_trained_text_to_image

PIPELINE_GUIDANCE = 7.5  # diffusers' default
LATENT_BATCH = 64  # images at once; with guidance the network sees twice as many rows
RESAMPLING = 10  # RePaint's


@dataclass(frozen=True)
class Walk:
    """How a hole is painted; see `editing.inpainting_steps`.

    guidance: for prompts; by default the run's own, 7.5 for pipelines. Raises ValueError out of range.
    """

    evaluations: int = 50
    resampling: int = RESAMPLING
    churn: float = 1.0
    guidance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.guidance is not None:
            check_guidance(self.guidance)
        if self.evaluations < 1 or self.resampling < 1:
            raise ValueError(
                f"evaluations and resampling must be 1 or more, got {self.evaluations} and {self.resampling}"
            )


@dataclass(frozen=True, eq=False)
class Painter:
    """A model that fills holes, whatever its kind."""

    name: str
    about: dict[str, Any]  # for edits.json: pairing and step, or the pipeline's class
    shape: tuple[int, int, int]  # of its images
    resolution: int | None  # that other images are resized and cropped to
    source: Source | None  # of its training data
    needs: str | None  # of the images to edit: "labels", "prompts" or nothing
    # Count of images to edit -> real ones to measure distances to, and so many to edit.
    own: Callable[[int], tuple[ImageData, Originals]] | None
    paint: Callable[[Originals, Tensor], Tensor]  # hole bool [H, W] -> uint8 [N, C, H, W]
    factor: int = 1  # pixels that a latent stands for, along each side


def open_painter(folder: Path, walk: Walk) -> Painter:
    """Open a run's folder or a diffusers pipeline's, to paint as `walk` says.

    Raises FileNotFoundError and ValueError as `load_trained`, `load_trained_text_to_image` and
    `open_inpainting` do.
    """
    if (folder / "model_index.json").exists():
        return _pipeline(folder, walk)
    if is_text_to_image_run(folder):
        return text_to_image_painter(folder, load_trained_text_to_image(folder), walk)
    return image_painter(folder, load_trained(folder), walk)


def image_painter(folder: Path, model: TrainedModel, walk: Walk) -> Painter:
    """Paint with a loaded run on images. Its network moves to the accelerator."""
    experiment = model.experiment

    def own(count: int) -> tuple[ImageData, Originals]:
        data = load_data(experiment)
        return data, spread_originals(data, count)

    def paint(originals: Originals, hole: Tensor) -> Tensor:
        device = Accelerator().device
        return repaint(
            experiment.objective,
            model.network.to(device),
            pixel_space(experiment.image_std),
            originals.pixels,
            hole,
            walk.evaluations,
            generator=generator_for(walk.seed, "editing", device=device),
            condition=originals.labels if experiment.class_conditional else None,
            resampling=walk.resampling,
            churn=walk.churn,
        )

    return Painter(
        str(folder),
        {"pairing": experiment.pairing, "step": model.step},
        model.shape,
        experiment.resolution,
        Source(experiment.data, "train", experiment.image_column, experiment.label_column),
        "labels" if experiment.class_conditional else None,
        own,
        paint,
    )


def text_to_image_painter(folder: Path, trained: TrainedTextToImage, walk: Walk) -> Painter:
    """Paint with a loaded text-to-image run, by prompts. Its networks move to the accelerator."""
    experiment, model = trained.experiment, trained.model
    autoencoder, (_, height, width) = model.autoencoder, model.shape

    def own(count: int) -> tuple[ImageData, Originals]:
        loaded = load_text_to_image_data(experiment)
        every = loaded.training.latents.rows
        rows = spread_rows(len(every), min(count, len(every)))
        texts = loaded.training.prompts.prompts.texts
        said = tuple(texts[row][0] for row in rows.tolist())
        data = loaded.images.in_memory(every[rows], count)
        return real_images(loaded), spread_originals(data, count, said)

    def paint(originals: Originals, hole: Tensor) -> Tensor:
        assert originals.texts is not None
        device = Accelerator().device
        trained.moved(device)
        guidance = experiment.guidance if walk.guidance is None else walk.guidance
        space = Space(
            lambda pixels: model.scale.clean(encode(autoencoder, pixels)),
            lambda clean: decode(autoencoder, model.scale.raw(clean)),
            autoencoder.factor,
        )
        return repaint(
            model.objective,
            Guided(model.network, guidance, model.empty.to(device)),
            space,
            originals.pixels,
            hole,
            walk.evaluations,
            generator=generator_for(walk.seed, "editing", device=device),
            condition=embed_texts(trained.encoder, originals.texts),
            resampling=walk.resampling,
            churn=walk.churn,
            batch_size=LATENT_BATCH,
        )

    return Painter(
        str(folder),
        {"pairing": experiment.pairing, "step": trained.step},
        (3, height * autoencoder.factor, width * autoencoder.factor),
        experiment.resolution,
        Source(
            experiment.data,
            "train",
            experiment.image_column,
            experiment.label_column,
            experiment.prompt_column,
            experiment.template,
        ),
        "prompts",
        own,
        paint,
        autoencoder.factor,
    )


def _pipeline(folder: Path, walk: Walk) -> Painter:
    if walk.resampling != RESAMPLING or walk.churn != 1:
        raise ValueError(
            f"--resampling and --churn are for runs; pipeline {str(folder)!r} walks as its scheduler does"
        )
    pipeline = open_inpainting(folder)
    side = pipeline_side(pipeline)

    def paint(originals: Originals, hole: Tensor) -> Tensor:
        assert originals.texts is not None
        device = Accelerator().device
        return paint_by_pipeline(
            pipeline.to(device),
            originals.pixels,
            hole,
            originals.texts,
            walk.evaluations,
            PIPELINE_GUIDANCE if walk.guidance is None else walk.guidance,
            generator_for(walk.seed, "editing", device=device),
        )

    about = {"pipeline": type(pipeline).__name__}
    return Painter(str(folder), about, (3, side, side), side, None, "prompts", None, paint)
