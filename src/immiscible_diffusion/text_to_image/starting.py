"""Where training starts: new weights, a diffusers pipeline's, or those with an adapter (LoRA)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from immiscible_diffusion.hub_download import model_folder
from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.randomness import derived_seed
from immiscible_diffusion.text_to_image.autoencoders import Autoencoder, open_autoencoder
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment
from immiscible_diffusion.text_to_image.networks import (
    Shape,
    TextUNet,
    build_text_network,
    check_fits,
    diffusers_model,
)
from immiscible_diffusion.text_to_image.prompts import Prompts, load_prompts
from immiscible_diffusion.text_to_image.stored_images import StoredImages, open_images
from immiscible_diffusion.text_to_image.text_encoders import TextEncoder, open_text_encoder

UNET_FILES = ("model_index.json", "unet/config.json", "unet/*.safetensors", "scheduler/*.json")
# The attention layers that diffusers' own LoRA training adapts.
ADAPTED = ("to_k", "to_q", "to_v", "to_out.0")


def experiment_autoencoder(experiment: TextToImageExperiment) -> Autoencoder:
    """Open the autoencoder of an experiment, or of the pipeline that it starts from."""
    return open_autoencoder(experiment.autoencoder or experiment.start_from)


def experiment_text_encoder(experiment: TextToImageExperiment) -> TextEncoder:
    """Open the text encoder of an experiment, or of the pipeline that it starts from."""
    vocabulary = Path(experiment.vocabulary).expanduser() if experiment.vocabulary else None
    return open_text_encoder(experiment.text_encoder or experiment.start_from, vocabulary=vocabulary)


def experiment_images(experiment: TextToImageExperiment) -> StoredImages:
    """Open the images that an experiment names, undecoded. Raises what `open_images` raises."""
    return open_images(
        experiment.data,
        image_column=experiment.image_column,
        label_column=experiment.label_column,
        resolution=experiment.resolution,
        rows=experiment.rows,
        bad_data=experiment.bad_data,
    )


def experiment_prompts(experiment: TextToImageExperiment, images: StoredImages, rows: Tensor) -> Prompts:
    """Load the prompts of these rows [N] of its images. Raises what `load_prompts` raises."""
    return load_prompts(
        experiment.data,
        images.without_pixels(rows),
        column=experiment.prompt_column,
        template=experiment.template,
        bad_data=experiment.bad_data,
    )


def start_network(
    experiment: TextToImageExperiment, shape: Shape, autoencoder: str, encoder: TextEncoder
) -> nn.Module:
    """Build or load the network that training starts from; with a LoRA, only its adapter can be trained.

    shape: of a latent. autoencoder: its name, for errors.
    Raises FileNotFoundError where the pipeline is not to be had, ValueError where it does not fit
    the objective, the latents or the prompts, and where peft is needed and absent.
    """
    seed = derived_seed(experiment.seed, "weights")
    if not experiment.start_from:
        network = build_text_network(experiment.network, shape, encoder.width, seed=seed)
    else:
        network = _from_pipeline(experiment)
        check_fits(network, shape, encoder.width, autoencoder, encoder.name)
        if experiment.lora_rank:
            _adapt(network, experiment.lora_rank, seed)
    if experiment.gradient_checkpointing:
        diffusers_model(network).enable_gradient_checkpointing()
    return network


def build_optimizer(experiment: TextToImageExperiment, network: nn.Module) -> Optimizer:
    """Make the optimiser of what is trained of a network; ValueError for 8 bits without bitsandbytes."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    settings: dict[str, Any] = {"lr": experiment.learning_rate, "weight_decay": experiment.weight_decay}
    if experiment.optimiser == "adamw":
        return torch.optim.AdamW(parameters, **settings)
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise ValueError(
            "optimiser 'adamw-8bit' needs bitsandbytes, which is not installed; pip install "
            "bitsandbytes, or choose --optimiser adamw"
        ) from error
    optimizer: Optimizer = AdamW8bit(parameters, **settings)
    return optimizer


def _from_pipeline(experiment: TextToImageExperiment) -> TextUNet:
    from diffusers import UNet2DConditionModel

    name = experiment.start_from
    folder = model_folder(name, "start_from", UNET_FILES)
    if not (folder / "unet" / "config.json").exists():
        raise FileNotFoundError(
            f"start_from {name!r} holds no unet/config.json; give the folder of a StableDiffusionPipeline, "
            "as diffusers' save_pretrained or `immiscible export` writes it"
        )
    try:
        unet = UNet2DConditionModel.from_pretrained(
            folder / "unet", torch_dtype=torch.float32, use_safetensors=True
        )
    except Exception as error:  # diffusers and safetensors have a dozen kinds
        raise ValueError(
            f"start_from {name!r}: its U-Net could not be loaded ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}); put the folder back as diffusers wrote it"
        ) from error
    _check_schedule(experiment, folder / "scheduler")
    return TextUNet(unet)


def _check_schedule(experiment: TextToImageExperiment, folder: Path) -> None:
    """Refuse to go on with another schedule or prediction than the pipeline was trained with."""
    from diffusers import DDIMScheduler

    objective = experiment.objective
    if not isinstance(objective, Diffusion) or not (folder / "scheduler_config.json").exists():
        return  # flow matching learns anew what is predicted
    given, own = DDIMScheduler.from_pretrained(folder), objective.scheduler()
    for setting, option in (("prediction_type", "--prediction"), ("beta_schedule", "--schedule")):
        if given.config[setting] != own.config[setting]:
            raise ValueError(
                f"start_from {experiment.start_from!r} was trained with {setting} {given.config[setting]!r}, "
                f"the experiment has {own.config[setting]!r}; give {option} to match"
            )
    if len(given.betas) != len(own.betas) or not torch.allclose(given.betas, own.betas, rtol=1e-4):
        raise ValueError(
            f"start_from {experiment.start_from!r} was trained with other betas ({given.config.beta_start:g} "
            f"to {given.config.beta_end:g}) than the objective's; start from another, or "
            "choose another --schedule"
        )


def _adapt(network: TextUNet, rank: int, seed: int) -> None:
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ValueError(
            f"lora_rank {rank} needs peft, which is not installed; pip install "
            "'immiscible-diffusion[stable-diffusion]'"
        ) from error
    network.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):  # peft draws from the global generator
        torch.default_generator.manual_seed(seed)
        network.unet.add_adapter(
            LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=list(ADAPTED))
        )
