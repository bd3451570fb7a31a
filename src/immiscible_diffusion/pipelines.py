"""A run's averaged network as a diffusers pipeline folder, with the scale of its images and a model card."""

import json
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

from immiscible_diffusion.data import NATURAL_STD
from immiscible_diffusion.experiment import OBJECTIVES, Experiment, to_json
from immiscible_diffusion.networks import ImageUNet, ResidualMLP, Shape
from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.sampling import sampling_steps

OUTPUT_TYPES = ("pil", "np", "pt")


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
    """What diffusers has no pipeline for: images at any scale, flow matching, class labels, our MLP.

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
        num_inference_steps: int = 50,
        class_labels: int | Sequence[int] | Tensor | None = None,
        sampler: str | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> Any:
        """Sample `batch_size` images with the project's own sampler.

        class_labels: one class number for all images or one for each, for a class-conditional network.
        sampler: "ddim" or "heun" for diffusion, "euler" or "heun" for flow matching; None for the first.
        output_type: "pil"; or, in [0, 1], "np" [B, H, W, C] or "pt" [B, C, H, W].
        Returns an `ImagePipelineOutput`, or with `return_dict` off a tuple of the images.
        Raises ValueError for unknown names, and labels that are missing, too many or out of range.
        """
        if output_type not in OUTPUT_TYPES:
            raise ValueError(unknown("output_type", output_type, OUTPUT_TYPES))
        labels = self._labels(class_labels, batch_size)
        settings = dict(self.config.objective)
        objective = OBJECTIVES[settings.pop("name")](**settings)
        size = self.network.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        # Drawn and kept in float32, as in `generate`: only the network works in its own precision.
        images = randn_tensor(
            (batch_size, self.network.config.in_channels, height, width),
            generator=generator,
            device=self._execution_device,
            dtype=torch.float32,
        )
        with self.progress_bar(total=num_inference_steps) as bar:
            for step in sampling_steps(
                objective, self._predict, images, num_inference_steps, sampler=sampler, condition=labels
            ):
                images = step.noisy
                bar.update()
        self.maybe_free_model_hooks()
        # The float before rounding in `data.to_pixels`; × 255 and rounded, it is the same byte.
        images = (images * (NATURAL_STD / self.config.image_std) / 2 + 0.5).clamp(0, 1)
        given: Any = images
        if output_type != "pt":
            given = images.permute(0, 2, 3, 1).cpu().numpy()
        if output_type == "pil":
            given = self.numpy_to_pil(given)
        return ImagePipelineOutput(images=given) if return_dict else (given,)

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
    return ScaledImagePipeline(saved, _objective_settings(experiment), float(experiment.image_std))


def export_pipeline(
    experiment: Experiment, network: nn.Module, shape: Shape, step: int, run: Path, folder: Path
) -> str:
    """Write a pipeline folder with its model card, and return the name of the pipeline's class.

    network: the averaged one of step `step`. run: the run's folder, for what it says of data and distances.
    Raises FileExistsError where `folder` holds anything, ValueError for a network diffusers cannot save.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(
            f"{str(folder)!r} exists and is not an empty folder; choose another --out or remove it"
        )
    pipeline = build_pipeline(experiment, network, shape)
    folder.mkdir(parents=True, exist_ok=True)
    pipeline.save_pretrained(folder)
    data = json.loads((run / "data.json").read_text())
    measured = run / "evaluation.json"
    evaluation = json.loads(measured.read_text()) if measured.exists() else None
    name = type(pipeline).__name__
    card = model_card(experiment, name, step, data, evaluation, folder)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return name


def model_card(
    experiment: Experiment,
    pipeline: str,
    step: int,
    data: dict[str, Any],
    evaluation: dict[str, Any] | None,
    folder: Path,
) -> str:
    """Say in Markdown what was trained on what, how far its images are from real ones, and how to load it.

    data, evaluation: the contents of the run's data.json and evaluation.json, the latter None if absent.
    """
    settings = _objective_settings(experiment)
    objective = settings.pop("name")
    shape = "×".join(str(side) for side in data["shape"])
    classes = ", ".join(data["class_names"]) if experiment.class_conditional else "none (unconditional)"
    facts = {
        "Data": f"{data['name']}, {data['count']:,} images of {shape}, fingerprint `{data['fingerprint']}`",
        "Classes": classes,
        "Pairing": f"`{experiment.pairing}`",
        "Objective": ", ".join([objective, *(f"{key} {value}" for key, value in settings.items())]),
        "Network": f"{experiment.network}, averaged weights",
        "image_std": f"{experiment.image_std} (0.5 is [-1, 1]); the pipeline brings images back from it",
        "Steps": f"{step:,} of {experiment.steps:,}, {experiment.batch_size} images each",
        "Seed": experiment.seed,
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return f"""---
library_name: diffusers
pipeline_tag: unconditional-image-generation
tags: [immiscible-diffusion]
---

# {experiment.name}, {experiment.pairing}

Exported from a run of immiscible-diffusion: it was trained with each image paired with a noise as below.

| | |
|---|---|
{rows}

## Distance to real images

{_distances(evaluation, step)}

## Use

```python
{_snippet(experiment, pipeline, data, folder)}```
"""


def _objective_settings(experiment: Experiment) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(to_json(experiment))["objective"]
    return settings


def _distances(evaluation: dict[str, Any] | None, step: int) -> str:
    if evaluation is None:
        return "Not measured. `immiscible evaluate` measures it; an export after that says it here."
    lines = [f"Measured at step {evaluation['step']:,} with the {evaluation['sampler']} sampler."]
    if evaluation["step"] != step:
        lines[0] += f" The weights here are of step {step:,}, whose distances may differ."
    lines += ["", "| Evaluations | Distance | Kernel distance | Features | Images, generated and real |"]
    lines += ["|---:|---|---:|---|---|"]
    warnings = []
    for number, scored in evaluation["evaluations"].items():
        distance = f"{scored['distance_name']} {scored['frechet']:.4f}"
        counts = f"{scored['generated_count']:,} and {scored['real_count']:,}"
        lines.append(f"| {number} | {distance} | {scored['kernel']:.5f} | {scored['features']} | {counts} |")
        if scored["warning"] and scored["warning"] not in warnings:
            warnings.append(scored["warning"])
    lines += ["", "Compare distances of equal features and counts only.", *warnings]
    return "\n".join(lines)


def _snippet(experiment: Experiment, pipeline: str, data: dict[str, Any], folder: Path) -> str:
    library = "diffusers" if pipeline == DDIMPipeline.__name__ else __name__
    labels = ""
    if experiment.class_conditional:
        labels = f", class_labels={[number % len(data['class_names']) for number in range(4)]}"
    return f"""import torch
from {library} import {pipeline}

pipeline = {pipeline}.from_pretrained({json.dumps(str(folder), ensure_ascii=False)})  # this folder
generator = torch.Generator().manual_seed(0)
images = pipeline(batch_size=4, num_inference_steps=50, generator=generator{labels}).images
images[0].save("sample.png")
"""
