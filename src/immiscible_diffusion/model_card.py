"""The README.md of an exported pipeline: what was trained on what, how good it is, and how to load it."""

import json
from typing import Any

from diffusers import DDIMPipeline, DiffusionPipeline

from immiscible_diffusion.experiment import Experiment, values_of
from immiscible_diffusion.objectives import Diffusion


def model_card(
    experiment: Experiment,
    pipeline: type[DiffusionPipeline],
    step: int,
    data: dict[str, Any],
    evaluation: dict[str, Any] | None,
    load_from: str,
) -> str:
    """Say in Markdown what was trained on what, how far its images are from real ones, and how to load it.

    data, evaluation: the contents of the run's data.json and evaluation.json, the latter None if absent.
    load_from: the folder, or OWNER/NAME on the hub, that the code loads.
    """
    settings = objective_settings(experiment)
    objective = settings.pop("name")
    given = {name: value for name, value in settings.items() if value is not None}
    shape = "×".join(str(side) for side in data["shape"])
    classes = ", ".join(data["class_names"]) if experiment.class_conditional else "none (unconditional)"
    facts = {
        "Data": f"{data['name']}, {data['count']:,} images of {shape}, fingerprint `{data['fingerprint']}`",
        "Classes": classes,
        "Pairing": f"`{experiment.pairing}`",
        "Objective": ", ".join([objective, *(f"{name} {value}" for name, value in given.items())]),
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

{distances_table(evaluation, step)}

## Use

```python
{_snippet(experiment, pipeline, data, load_from)}```
{_step_note(experiment, pipeline)}"""


def objective_settings(experiment: Any) -> dict[str, Any]:
    """The objective's name and settings, as a run's config.json has them."""
    settings: dict[str, Any] = values_of(experiment)["objective"]
    return settings


def distances_table(evaluation: dict[str, Any] | None, step: int) -> str:
    """What was measured of a run, the content of its evaluation.json, in Markdown; None where nothing was."""
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


def _step_note(experiment: Experiment, pipeline: type[DiffusionPipeline]) -> str:
    if pipeline is not DDIMPipeline or not isinstance(experiment.objective, Diffusion):
        return ""
    # diffusers takes every step to be training_steps // steps long, which its rounded times then are not.
    return (
        f"\nChoose a `num_inference_steps` that divides {experiment.objective.training_steps}: "
        "for others, diffusers' DDIM misses its own next time by a little; `immiscible sample` does not.\n"
    )


def _snippet(
    experiment: Experiment, pipeline: type[DiffusionPipeline], data: dict[str, Any], load_from: str
) -> str:
    name = pipeline.__name__
    library = "diffusers" if pipeline is DDIMPipeline else pipeline.__module__
    labels = ""
    if experiment.class_conditional:
        labels = f", class_labels={[number % len(data['class_names']) for number in range(4)]}"
    steps = experiment.objective.evaluations[-1]
    return f"""import torch
from {library} import {name}

pipeline = {name}.from_pretrained({json.dumps(load_from, ensure_ascii=False)})
generator = torch.Generator().manual_seed(0)
images = pipeline(batch_size=4, num_inference_steps={steps}, generator=generator{labels}).images
images[0].save("sample.png")
"""
