"""What diffusers has no pipeline for: prompts to images by flow matching, or by a transformer of ours."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from immiscible_diffusion.experiment import OBJECTIVES
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.pipelines import OUTPUT_TYPES, as_output
from immiscible_diffusion.sampling import ADAPTIVE, sampling_steps
from immiscible_diffusion.text_to_image.guidance import Guided, check_guidance
from immiscible_diffusion.text_to_image.networks import TextTransformer, TextUNet


class LatentTextPipeline(DiffusionPipeline):
    """A network on latents with its autoencoder and text encoder, sampled by the project's own sampler.

    network: a `UNet2DConditionModel` or `PixArtTransformer2DModel`. scheduler: diffusers' of the same path,
    for other programs; this one samples without it. objective: its name and settings as in config.json.
    latent_mean, latent_std: a number for each channel, which latents are brought back by.
    """

    model_cpu_offload_seq = "text_encoder->network->vae"

    # Settings have defaults because diffusers takes every argument without one for a folder to load.
    def __init__(
        self,
        network: Any,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        scheduler: Any,
        objective: dict[str, Any] | None = None,
        latent_mean: Sequence[float] | None = None,
        latent_std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if objective is None or latent_mean is None or latent_std is None:
            raise ValueError(
                "objective, latent_mean and latent_std must be given, or images would be decoded at the "
                "wrong scale; load a folder that `immiscible export` wrote"
            )
        self.register_modules(
            network=network, vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, scheduler=scheduler
        )
        self.register_to_config(
            objective=dict(objective), latent_mean=list(latent_mean), latent_std=list(latent_std)
        )

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        num_inference_steps: int | None = None,
        guidance_scale: float = 3.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        sampler: str | None = None,
        tolerance: float | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> Any:
        """Sample an image for each prompt.

        num_inference_steps: 50 by default; none for dopri5, which takes `tolerance`. guidance_scale: 1 for
        none. latents: noise N(0, I) to start from, [B, C, h, w], instead of drawing it. output_type: "pil",
        or in [0, 1] "np" [B, H, W, 3] or "pt" [B, 3, H, W]. Raises ValueError for unknown names.
        """
        if output_type not in OUTPUT_TYPES:
            raise ValueError(unknown("output_type", output_type, OUTPUT_TYPES))
        check_guidance(guidance_scale)
        texts = [prompt] if isinstance(prompt, str) else list(prompt)
        settings = dict(self.config.objective)
        objective = OBJECTIVES[settings.pop("name")](**settings)
        if num_inference_steps is None and sampler != ADAPTIVE:
            num_inference_steps = objective.evaluations[-1]
        side = self.network.config.sample_size
        height, width = (side, side) if isinstance(side, int) else side
        shape = (len(texts), self.network.config.in_channels, height, width)
        device = self._execution_device
        # Drawn and kept in float32: only the networks work in their own precision.
        noisy = latents if latents is not None else randn_tensor(shape, generator, device, torch.float32)
        guided = Guided(self._wrapped(), guidance_scale, self._embedded([""])[0])
        with self.progress_bar(total=num_inference_steps or 1) as bar:
            for step in sampling_steps(
                objective,
                guided,
                noisy,
                num_inference_steps,
                sampler=sampler,
                condition=self._embedded(texts),
                tolerance=tolerance,
                generator=generator,
            ):
                noisy = step.noisy
                bar.update()
        mean, std = (
            torch.tensor(self.config[name], device=device)[:, None, None]
            for name in ("latent_mean", "latent_std")
        )
        raw = (noisy * std + mean).to(self.vae.dtype)
        images = (self.vae.decode(raw, return_dict=False)[0].float() / 2 + 0.5).clamp(0, 1)
        self.maybe_free_model_hooks()
        return as_output(images, output_type, return_dict)

    def _wrapped(self) -> TextUNet | TextTransformer:
        kind = TextTransformer if "Transformer" in type(self.network).__name__ else TextUNet
        return kind(self.network)

    def _embedded(self, texts: Sequence[str]) -> Tensor:
        ids = self.tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self.text_encoder.config.max_position_embeddings,
            return_tensors="pt",
        )["input_ids"]
        hidden: Tensor = self.text_encoder(ids.to(self._execution_device))[0]
        return hidden.float()
