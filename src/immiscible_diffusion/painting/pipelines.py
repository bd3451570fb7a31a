"""Holes painted by diffusers' own in-painting pipelines: Stable Diffusion and its in-painting models."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from immiscible_diffusion.editing import without_hole
from immiscible_diffusion.text_to_image.generation import BATCH


def open_inpainting(folder: Path) -> Any:
    """Open a diffusers pipeline's folder as the in-painting pipeline of its family, on the CPU, in float32.

    A U-Net of 9 channels sees the known part; one of 4 has it re-noised into place by diffusers. No safety
    checker is loaded: it would blacken images that are then measured.
    Raises ValueError for a pipeline that cannot paint by prompt, and for a damaged one.
    """
    from diffusers import AutoPipelineForInpainting
    from diffusers.utils import logging

    logging.disable_progress_bar()
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        left_out = {name: None for name in ("safety_checker", "image_encoder") if name in index}
        pipeline = AutoPipelineForInpainting.from_pretrained(
            folder, torch_dtype=torch.float32, use_safetensors=True, **left_out
        )
    except Exception as error:  # diffusers, transformers and safetensors have a dozen kinds
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"pipeline {str(folder)!r} cannot be opened to paint holes ({type(error).__name__}: {reason}); "
            "give an undamaged Stable Diffusion pipeline, or for other models the run's folder"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def pipeline_side(pipeline: Any) -> int:
    """The side in pixels of the images that a pipeline was made for."""
    network = getattr(pipeline, "unet", None) or pipeline.transformer
    return int(network.config.sample_size) * int(pipeline.vae_scale_factor)


@torch.no_grad()
def paint_by_pipeline(
    pipeline: Any,
    pixels: Tensor,
    hole: Tensor,
    prompts: Sequence[str],
    steps: int,
    guidance: float,
    generator: torch.Generator,
) -> Tensor:
    """Paint the hole, bool [H, W], of images, uint8 [N, 3, H, W], by prompt.

    Known bytes come back as they were. From pure noise (strength 1); what the hole holds is not shown.
    """
    shown = without_hole(pixels, hole).float() / 255
    height, width = hole.shape
    edited = []
    for start in range(0, len(pixels), BATCH):
        rows = slice(start, start + BATCH)
        images = pipeline(
            prompt=list(prompts[rows]),
            image=shown[rows],
            mask_image=hole[None, None].float().expand(len(pixels[rows]), -1, -1, -1),
            height=height,
            width=width,
            strength=1.0,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generator,
            output_type="pt",
        ).images
        painted = (images.float().clamp(0, 1) * 255).round().to("cpu", torch.uint8)
        edited.append(torch.where(hole, painted, pixels[rows]))
    return torch.cat(edited) if edited else pixels.clone()
