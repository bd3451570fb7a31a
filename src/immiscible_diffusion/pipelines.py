"""A run's averaged network as a diffusers pipeline folder, with the scale of its images and a model card."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    ConfigMixin,
    DDIMPipeline,
    DiffusionPipeline,
    ImagePipelineOutput,
    ModelMixin,
    UNet2DModel,
)
from diffusers.configuration_utils import register_to_config
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from immiscible_diffusion.atomic_files import written_aside
from immiscible_diffusion.data.images import NATURAL_STD
from immiscible_diffusion.experiment import OBJECTIVES, Experiment
from immiscible_diffusion.model_card import model_card, objective_settings
from immiscible_diffusion.networks import ImageUNet, ResidualMLP, Shape
from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.runs.folder import read_description, read_evaluation
from immiscible_diffusion.sampling import ADAPTIVE, sampling_steps

OUTPUT_TYPES = ("pil", "np", "pt")


def as_output(images: Tensor, output_type: str, return_dict: bool) -> Any:
    """What a pipeline returns for images, [B, C, H, W] in [0, 1]; output_type: one of `OUTPUT_TYPES`."""
    given: Any = images
    if output_type != "pt":
        given = images.permute(0, 2, 3, 1).cpu().numpy()
    if output_type == "pil":
        given = DiffusionPipeline.numpy_to_pil(given)
    return ImagePipelineOutput(images=given) if return_dict else (given,)


class SavedMLP(ModelMixin, ConfigMixin):
    """A `ResidualMLP` that diffusers can save and load, called and configured as `UNet2DModel` is."""

    @register_to_config
    def __init__(
        self, in_channels: int, sample_size: Sequence[int], num_class_embeds: int | None = None
    ) -> None:
        super().__init__()
        self.mlp = ResidualMLP((in_channels, sample_size[0], sample_size[1]), num_class_embeds)

    def forward(
        self, sample: Tensor, timestep: Tensor, class_labels: Tensor | None = None, return_dict: bool = False
    ) -> tuple[Tensor]:
        """sample [B, C, H, W], timestep [B], class_labels int64 [B] or None -> ([B, C, H, W],)."""
        return (self.mlp(sample, timestep, class_labels),)


class ScaledImagePipeline(DiffusionPipeline):
    """What diffusers has no pipeline for: images at any scale, class labels, our MLP, other objectives.

    network: a `UNet2DModel` or `SavedMLP`. objective: its name and settings as in a run's config.json.
    image_std: the scale that the network was trained at; images are brought back from it.
    Raises ValueError where objective or image_std is missing, as it is in other pipelines' folders.
    """

    model_cpu_offload_seq = "network"

    # `network` is not called `unet`, so that DDIMPipeline cannot load this and decode it at the wrong scale.
    # Settings have defaults because diffusers takes every argument without one for a folder to load.
    def __init__(
        self,
        network: UNet2DModel | SavedMLP,
        objective: dict[str, Any] | None = None,
        image_std: float | None = None,
    ) -> None:
        super().__init__()
        if objective is None or image_std is None:
            raise ValueError(
                "objective and image_std must both be given, or images would be decoded at the wrong scale; "
                "load a folder that `immiscible export` wrote"
            )
        self.register_modules(network=network)
        self.register_to_config(objective=dict(objective), image_std=image_std)

    @torch.no_grad()
    def __call__(
        self,
        batch_size: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        num_inference_steps: int | None = None,
        class_labels: int | Sequence[int] | Tensor | None = None,
        sampler: str | None = None,
        tolerance: float | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> Any:
        """Sample `batch_size` images with the project's own sampler.

        num_inference_steps: 50 by default, for consistency 4; none for dopri5, which takes `tolerance`.
        class_labels: one class number for all images or one for each, for a class-conditional network.
        sampler: as `sampling_steps` takes it; None for the objective's first.
        output_type: "pil"; or, in [0, 1], "np" [B, H, W, C] or "pt" [B, C, H, W].
        Returns an `ImagePipelineOutput`, or with `return_dict` off a tuple of the images.
        Raises ValueError for unknown names, and labels that are missing, too many or out of range.
        """
        if output_type not in OUTPUT_TYPES:
            raise ValueError(unknown("output_type", output_type, OUTPUT_TYPES))
        labels = self._labels(class_labels, batch_size)
        settings = dict(self.config.objective)
        objective = OBJECTIVES[settings.pop("name")](**settings)
        steps = num_inference_steps
        if steps is None and sampler != ADAPTIVE:
            steps = objective.evaluations[-1]
        size = self.network.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        # Drawn and kept in float32, as in `generate`: only the network works in its own precision.
        images = randn_tensor(
            (batch_size, self.network.config.in_channels, height, width),
            generator=generator,
            device=self._execution_device,
            dtype=torch.float32,
        )
        with self.progress_bar(total=steps or 1) as bar:
            for step in sampling_steps(
                objective,
                self._predict,
                images,
                steps,
                sampler=sampler,
                condition=labels,
                tolerance=tolerance,
                generator=generator,
            ):
                images = step.noisy
                bar.update()
        self.maybe_free_model_hooks()
        # The float before rounding in `data.to_pixels`; × 255 and rounded, it is the same byte.
        images = (images * (NATURAL_STD / self.config.image_std) / 2 + 0.5).clamp(0, 1)
        return as_output(images, output_type, return_dict)

    def _predict(self, noisy: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        noisy = noisy.to(self.network.dtype)
        prediction: Tensor = self.network(noisy, time, class_labels=condition, return_dict=False)[0]
        return prediction.float()

    def _labels(self, given: int | Sequence[int] | Tensor | None, count: int) -> Tensor | None:
        classes = self.network.config.num_class_embeds
        if given is None and classes is None:
            return None
        if given is None:
            raise ValueError(f"class_labels must be given: the network is conditioned on {classes} classes")
        if classes is None:
            raise ValueError("class_labels must be left out: the network is not class-conditional")
        labels = torch.as_tensor(given, dtype=torch.int64, device=self._execution_device).reshape(-1)
        if len(labels) not in (1, count) or int(labels.min()) < 0 or int(labels.max()) >= classes:
            raise ValueError(
                f"class_labels must be one number from 0 to {classes - 1}, or {count} of them (batch_size), "
                f"got {labels.tolist()}"
            )
        return labels.expand(count)


def check_vacant_folder(folder: Path) -> None:
    """Raise FileExistsError unless a folder is new or empty."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(
            f"{str(folder)!r} exists and is not an empty folder; choose another --out or remove it"
        )


def build_pipeline(experiment: Experiment, network: nn.Module, shape: Shape) -> DiffusionPipeline:
    """Make the pipeline that samples what an experiment's network learned; shares the network's weights.

    Unconditional diffusion with a U-Net at image_std 0.5 becomes diffusers' own `DDIMPipeline`, which needs
    nothing of this project; anything else a `ScaledImagePipeline`. shape: channels, height, width.
    Raises ValueError for a network that diffusers cannot save.
    """
    saved: UNet2DModel | SavedMLP
    if isinstance(network, ImageUNet):
        saved = network.unet
        own_scale = experiment.image_std == NATURAL_STD
        if isinstance(experiment.objective, Diffusion) and own_scale and not experiment.class_conditional:
            return DDIMPipeline(unet=saved, scheduler=experiment.objective.scheduler())
    elif isinstance(network, ResidualMLP):
        classes = None if network.embed_class is None else network.embed_class.num_embeddings
        with torch.device("meta"):  # neither draws weights nor holds them twice
            saved = SavedMLP(shape[0], shape[1:], classes)
        saved.mlp.load_state_dict(network.state_dict(), assign=True)
    else:
        raise ValueError(
            f"network {experiment.network!r} cannot be saved for diffusers; "
            "train with --network unet-tiny or another U-Net to export the run"
        )
    return ScaledImagePipeline(saved, objective_settings(experiment), float(experiment.image_std))


def export_pipeline(
    experiment: Experiment,
    network: nn.Module,
    shape: Shape,
    step: int,
    run: Path,
    folder: Path,
    repository: str | None = None,
) -> str:
    """Write a pipeline folder with its model card, whole or not at all; return the pipeline's class name.

    network: the averaged one of step `step`. run: the run's folder, for what it says of data and distances.
    repository: OWNER/NAME on the hub, for the card to load it from; by default it loads the folder.
    Raises FileExistsError where `folder` holds anything, ValueError for a network diffusers cannot save.
    """
    check_vacant_folder(folder)
    pipeline = build_pipeline(experiment, network, shape)
    data, evaluation = read_description(run), read_evaluation(run)
    card = model_card(experiment, type(pipeline), step, data, evaluation, repository or str(folder))
    with written_aside(folder) as aside:
        pipeline.save_pretrained(aside)
        (aside / "README.md").write_text(card, encoding="utf-8")
    return type(pipeline).__name__
