"""Tiny pipelines with the configurations of real ones, and a handful of images to train them on."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from tests.conftest import SHARED
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.text_to_image.clip_vocabulary import clip_tokenizer
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment
from immiscible_diffusion.text_to_image.text_encoders import open_text_encoder

VOCABULARY = SHARED / "weights" / "bpe_simple_vocab_16e6.txt.gz"
SCALING = 0.9


def write_images(folder: Path, count: int = 24, classes: int = 3, side: int = 16) -> Path:
    """PNGs in a folder a class, each class with a colour of its own."""
    generator = np.random.default_rng(0)
    for number in range(count):
        kind = number % classes
        pixels = generator.integers(0, 90, (side, side, 3))
        pixels[..., kind] += 120
        place = folder / f"kind {kind}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number:03d}.png")
    return folder


def tiny_autoencoder(seed: int = 0, channels: int = 4, **settings: object) -> AutoencoderKL:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            latent_channels=channels,
            sample_size=16,
            **{"scaling_factor": SCALING, **settings},
        ).eval()


def tiny_unet(channels: int = 4, width: int = 64) -> UNet2DConditionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return UNet2DConditionModel(
            sample_size=8,
            in_channels=channels,
            out_channels=channels,
            block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=2,
            cross_attention_dim=width,
        )


def write_pipeline(folder: Path, **scheduler: object) -> Path:
    """A StableDiffusionPipeline folder in Stable Diffusion 1.x's layout, with its scheduler."""
    encoder = open_text_encoder("clip-untrained:64", vocabulary=VOCABULARY)
    settings = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    pipeline = StableDiffusionPipeline(
        vae=tiny_autoencoder(),
        text_encoder=encoder.model,
        tokenizer=encoder.tokenizer,
        unet=tiny_unet(),
        scheduler=DDIMScheduler(**{**settings, "clip_sample": False, "steps_offset": 1, **scheduler}),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    encoder.save(folder)
    return folder


def small(data: Path, pipeline: Path, **settings: object) -> TextToImageExperiment:
    """An experiment on the tiny autoencoder, from new weights unless settings say so."""
    base = TextToImageExperiment(
        "test",
        str(data),
        "text-unet-tiny",
        Diffusion(prediction="epsilon", schedule="scaled-linear"),
        text_encoder=str(pipeline),
        autoencoder=str(pipeline),
        pairing="nearest:4",
        batch_size=8,
        steps=6,
        warmup_steps=2,
        prompt_dropout=0.25,
        latents=str(data.parent / "latents"),
    )
    return dataclasses.replace(base, **settings)  # type: ignore[arg-type]


def fine_tuned(data: Path, pipeline: Path, **settings: object) -> TextToImageExperiment:
    """The same, from the pipeline's own network."""
    own = {"network": "pretrained", "start_from": str(pipeline), "text_encoder": "", "autoencoder": ""}
    return small(data, pipeline, **{**own, **settings})


def write_clip(folder: Path) -> Path:
    """A small CLIP with random weights, as CLIPModel and CLIPProcessor save it; it sees 32×32 images."""
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
    vision = {**small, "image_size": 32, "patch_size": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)  # cosines above 0, where the score cuts off
        model = CLIPModel(CLIPConfig(text_config={**small, **ends}, vision_config=vision, projection_dim=16))
    model.save_pretrained(folder)
    sizes = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPProcessor(CLIPImageProcessorPil(**sizes), clip_tokenizer(VOCABULARY)).save_pretrained(folder)
    return folder
