"""Images from a text-to-image model: fresh Gaussian noise and prompts in, bytes out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from immiscible_diffusion.objectives import Diffusion, FlowMatching
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.sampling import sample
from immiscible_diffusion.text_to_image.autoencoders import Autoencoder, LatentScale, decode
from immiscible_diffusion.text_to_image.embeddings import EmbeddedPrompts
from immiscible_diffusion.text_to_image.guidance import Guided, check_guidance
from immiscible_diffusion.text_to_image.text_encoders import TextEncoder

BATCH = 64  # prompts at once; with guidance the network sees twice as many rows


@dataclass(frozen=True, eq=False)
class TextToImage:
    """All that turns noise and prompts into images."""

    objective: Diffusion | FlowMatching
    network: nn.Module
    autoencoder: Autoencoder
    scale: LatentScale
    shape: tuple[int, int, int]  # of a latent
    empty: Tensor  # [tokens, width], embedding of the empty prompt


def draw_images(
    model: TextToImage,
    embeddings: Tensor,
    evaluations: int | None,
    generator: torch.Generator,
    *,
    guidance: float,
    sampler: str | None = None,
    tolerance: float | None = None,
) -> Tensor:
    """Sample an image for each embedded prompt [N, tokens, width] as bytes, uint8 [N, 3, H, W].

    evaluations: sampler steps; None for dopri5, which takes `tolerance`. guidance: as `Guided` takes it;
    other than 1, each step evaluates the network twice. The noise is independent of the prompts, always.
    """
    check_guidance(guidance)
    device = next(model.network.parameters()).device
    noise = torch.randn(len(embeddings), *model.shape, generator=generator, device=generator.device).to(
        device
    )
    clean = sample(
        model.objective,
        Guided(model.network, guidance, model.empty.to(device)),
        noise,
        evaluations,
        sampler=sampler,
        condition=embeddings.to(device),
        tolerance=tolerance,
        generator=generator,
        batch_size=BATCH,
    )
    return decode(model.autoencoder, model.scale.raw(clean))


def embed_texts(encoder: TextEncoder, texts: Sequence[str]) -> Tensor:
    """Embed prompts as they are given, float32 [N, tokens, width] on the CPU."""
    parts = [encoder(texts[start : start + 256]).cpu() for start in range(0, len(texts), 256)]
    return torch.cat(parts)


def drawn_prompts(prompts: EmbeddedPrompts, seed: int, count: int) -> Tensor:
    """Embed prompts drawn as often as the data has them, [count, tokens, width]: those of an evaluation."""
    return prompts.of(_drawn_rows(prompts, seed, count), torch.zeros(count, dtype=torch.int64))


def drawn_texts(prompts: EmbeddedPrompts, seed: int, count: int) -> list[str]:
    """The prompts that `drawn_prompts` embeds."""
    return [prompts.prompts.texts[row][0] for row in _drawn_rows(prompts, seed, count).tolist()]


def _drawn_rows(prompts: EmbeddedPrompts, seed: int, count: int) -> Tensor:
    generator = generator_for(seed, "evaluation", step=1)
    return torch.randint(len(prompts.prompts.texts), (count,), generator=generator)


def spread_rows(count: int, wanted: int) -> Tensor:
    """Rows evenly over `count`, int64 [wanted]: those of a sheet."""
    return torch.linspace(0, count - 1, wanted).round().long()
