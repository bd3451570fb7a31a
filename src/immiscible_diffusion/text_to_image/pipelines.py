"""A text-to-image run for diffusers: a `StableDiffusionPipeline`, ours where that cannot be, or a LoRA."""

import copy
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    StableDiffusionPipeline,
)
from diffusers.utils import convert_state_dict_to_diffusers
from torch import Tensor, nn

from immiscible_diffusion.atomic_files import written_aside
from immiscible_diffusion.model_card import objective_settings
from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.pipelines import check_vacant_folder
from immiscible_diffusion.runs.folder import read_description, read_evaluation
from immiscible_diffusion.text_to_image.autoencoders import LatentScale
from immiscible_diffusion.text_to_image.latent_pipeline import LatentTextPipeline
from immiscible_diffusion.text_to_image.model_card import text_to_image_card
from immiscible_diffusion.text_to_image.networks import TextUNet, diffusers_model
from immiscible_diffusion.text_to_image.tiny_autoencoder import TinyFlux2Autoencoder
from immiscible_diffusion.text_to_image.trained_model import TrainedTextToImage

LORA = "LoRA"


def export_text_to_image(
    trained: TrainedTextToImage, run: Path, folder: Path, repository: str | None = None
) -> str:
    """Write a run's averaged weights for diffusers, with a model card, whole or not at all; say as what.

    A run with lora_rank becomes pytorch_lora_weights.safetensors, for `pipeline.load_lora_weights`. A U-Net
    that learned diffusion becomes a `StableDiffusionPipeline`, anything else a `LatentTextPipeline`.
    run: the run's folder, for what it says of data and distances. repository: OWNER/NAME on the hub, for the
    card. Raises FileExistsError where `folder` holds anything.
    """
    check_vacant_folder(folder)
    experiment = trained.experiment
    data, evaluation = read_description(run), read_evaluation(run)
    pipeline = None if experiment.lora_rank else build_text_pipeline(trained)
    name = LORA if pipeline is None else type(pipeline).__name__
    card = text_to_image_card(experiment, name, trained.step, data, evaluation, repository or str(folder))
    with written_aside(folder) as aside:
        aside.mkdir()
        if pipeline is None:
            save_lora(trained.network, aside)
        else:
            pipeline.save_pretrained(aside)
            trained.encoder.save(aside)  # the tokenizer with its vocabulary, as older transformers read it
        (aside / "README.md").write_text(card, encoding="utf-8")
    return name


def build_text_pipeline(trained: TrainedTextToImage) -> DiffusionPipeline:
    """Make the pipeline that samples what a run's network learned; shares the network's weights."""
    model, encoder = trained.model, trained.encoder
    vae = scaled_vae(model.autoencoder.module, model.autoencoder.shift, model.scale)
    if isinstance(model.network, TextUNet) and isinstance(model.objective, Diffusion) and vae is not None:
        return StableDiffusionPipeline(
            vae=vae,
            text_encoder=encoder.model,
            tokenizer=encoder.tokenizer,
            unet=model.network.unet,
            # 1 is what the pipeline wants to see; spaced from the end, steps have no offset.
            scheduler=DDIMScheduler.from_config(model.objective.scheduler().config, steps_offset=1),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    return LatentTextPipeline(
        network=diffusers_model(model.network),
        vae=model.autoencoder.module,
        text_encoder=encoder.model,
        tokenizer=encoder.tokenizer,
        scheduler=model.objective.scheduler()
        if isinstance(model.objective, Diffusion)
        else FlowMatchEulerDiscreteScheduler(),
        objective=objective_settings(trained.experiment),
        latent_mean=model.scale.mean.flatten().tolist(),
        latent_std=model.scale.std.flatten().tolist(),
    )


def scaled_vae(module: Any, shift: float, scale: LatentScale) -> Any:
    """An autoencoder whose own settings hold the scale that a run trained at; None where they cannot.

    `StableDiffusionPipeline` divides latents by `scaling_factor` and knows no shift, so a shift goes into the
    convolutions of size 1 next to the latent.
    """
    if isinstance(module, TinyFlux2Autoencoder):
        mean, std = scale.mean.flatten().tolist(), scale.std.flatten().tolist()
        with torch.device("meta"):
            scaled = TinyFlux2Autoencoder(latent_mean=mean, latent_std=std)
        scaled.load_state_dict(module.state_dict(), assign=True)
        return scaled.eval()
    if shift == 0:
        return module
    if not isinstance(module, AutoencoderKL):
        return None
    shifted = copy.deepcopy(module)
    channels = module.config.latent_channels
    if shifted.post_quant_conv is None:
        shifted.post_quant_conv = _identity(channels)
    if shifted.quant_conv is None:
        shifted.quant_conv = _identity(2 * channels)
    with torch.no_grad():
        leaving = shifted.post_quant_conv.weight[:, :, 0, 0].sum(dim=1) * shift
        shifted.post_quant_conv.bias += leaving
        shifted.quant_conv.bias[:channels] -= shift
    shifted.register_to_config(use_quant_conv=True, use_post_quant_conv=True, shift_factor=None)
    return shifted


def save_lora(network: nn.Module, folder: Path) -> None:
    """Write a network's adapter as diffusers loads it: pytorch_lora_weights.safetensors."""
    from peft.utils import get_peft_model_state_dict

    layers: dict[str, Tensor] = convert_state_dict_to_diffusers(
        get_peft_model_state_dict(diffusers_model(network))
    )
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers, safe_serialization=True)


def _identity(channels: int) -> nn.Conv2d:
    convolution = nn.Conv2d(channels, channels, 1)
    with torch.no_grad():
        convolution.weight.copy_(torch.eye(channels)[:, :, None, None])
        convolution.bias.zero_()  # type: ignore[union-attr]
    return convolution
