"""The README.md of an exported text-to-image model: of what, how good, how to load it."""

import json
from typing import Any

from immiscible_diffusion.model_card import distances_table, objective_settings
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment


def text_to_image_card(
    experiment: TextToImageExperiment,
    kind: str,
    step: int,
    data: dict[str, Any],
    evaluation: dict[str, Any] | None,
    load_from: str,
) -> str:
    """Say in Markdown what was trained on what, how far its images are from real ones, and how to load it.

    kind: "LoRA", or the pipeline's class. data, evaluation: the run's data.json and evaluation.json, the
    latter None if absent. load_from: the folder, or OWNER/NAME on the hub, that the code loads.
    """
    settings = objective_settings(experiment)
    objective = settings.pop("name")
    given = {name: value for name, value in settings.items() if value is not None}
    shape = "×".join(str(side) for side in data["shape"])
    facts = {
        "Data": f"{data['name']}, {data['count']:,} images of {shape}, fingerprint `{data['fingerprint']}`",
        "Prompts": f"{data['prompts']}, dropped in {experiment.prompt_dropout:.0%} of rows",
        "Pairing": f"`{experiment.pairing}`, on latents of {'×'.join(map(str, data['latent_shape']))}",
        "Objective": ", ".join([objective, *(f"{name} {value}" for name, value in given.items())]),
        "Network": f"{experiment.network}, averaged weights",
        "Started from": experiment.start_from or "new weights",
        "Autoencoder": experiment.autoencoder or experiment.start_from,
        "Text encoder": experiment.text_encoder or experiment.start_from,
        "Steps": f"{step:,} of {experiment.steps:,}, {experiment.batch_size} images each",
        "Seed": experiment.seed,
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return f"""---
library_name: diffusers
pipeline_tag: text-to-image
tags: [immiscible-diffusion{", lora" if experiment.lora_rank else ""}]
---

# {experiment.name}, {experiment.pairing}

Exported from a run of immiscible-diffusion: it was trained with each latent paired with a noise as below.

| | |
|---|---|
{rows}

## Distance to real images

{distances_table(evaluation, step)}

## Use

```python
{_snippet(experiment, kind, load_from)}```
"""


def _snippet(experiment: TextToImageExperiment, kind: str, load_from: str) -> str:
    place = json.dumps(load_from, ensure_ascii=False)
    library = "diffusers"
    if kind not in ("LoRA", "StableDiffusionPipeline"):
        library = "immiscible_diffusion.text_to_image.latent_pipeline"
    if kind == "LoRA":
        kind = "StableDiffusionPipeline"
        start = json.dumps(experiment.start_from, ensure_ascii=False)
        loading = f"pipeline = {kind}.from_pretrained({start})\npipeline.load_lora_weights({place})"
    else:
        loading = f"pipeline = {kind}.from_pretrained({place})"
    steps = experiment.objective.evaluations[-1]
    return f"""import torch
from {library} import {kind}

{loading}
generator = torch.Generator().manual_seed(0)
images = pipeline(
    "a goldfish", num_inference_steps={steps}, guidance_scale={experiment.guidance:g}, generator=generator
).images
images[0].save("sample.png")
"""
