"""Exports: what plain diffusers loads gives the images that our own sampler gives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    StableDiffusionPipeline,
)
from tests.conftest import SHARED
from tests.text_to_image.small_models import (
    SCALING,
    VOCABULARY,
    fine_tuned,
    small,
    tiny_autoencoder,
    write_images,
)
from torch import Tensor

from immiscible_diffusion.objectives import Diffusion, FlowMatching
from immiscible_diffusion.runs.loop import Schedule
from immiscible_diffusion.sampling import sample
from immiscible_diffusion.text_to_image.autoencoders import LatentScale, open_autoencoder
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment
from immiscible_diffusion.text_to_image.generation import embed_texts
from immiscible_diffusion.text_to_image.guidance import Guided
from immiscible_diffusion.text_to_image.latent_pipeline import LatentTextPipeline
from immiscible_diffusion.text_to_image.pipelines import export_text_to_image, scaled_vae
from immiscible_diffusion.text_to_image.runs import advance_text_to_image, open_text_to_image_run
from immiscible_diffusion.text_to_image.trained_model import TrainedTextToImage, load_trained_text_to_image

PROMPTS = ["kind 0", "a cat in the rain"]
GUIDANCE, STEPS = 3.0, 10


def trained(experiment: TextToImageExperiment, folder: Path) -> TrainedTextToImage:
    run = open_text_to_image_run(experiment, folder)
    for _ in advance_text_to_image(run, Schedule(sheet_every=0)):
        pass
    return load_trained_text_to_image(folder)


def ours(one: TrainedTextToImage, noise: Tensor) -> Tensor:
    """Images in [0, 1] by our own sampler, not rounded, [B, 3, H, W]."""
    clean = sample(
        one.model.objective,
        Guided(one.network, GUIDANCE, one.model.empty),
        noise,
        STEPS,
        condition=embed_texts(one.encoder, PROMPTS),
    )
    with torch.no_grad():
        images = one.model.autoencoder.module.decode(one.model.scale.raw(clean), return_dict=False)[0]  # type: ignore[operator]
    return (images / 2 + 0.5).clamp(0, 1)


def theirs(pipeline: DiffusionPipeline, noise: Tensor) -> Tensor:
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(
        PROMPTS, latents=noise, num_inference_steps=STEPS, guidance_scale=GUIDANCE, output_type="np"
    ).images
    return torch.from_numpy(made).permute(0, 3, 1, 2)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_a_stable_diffusion_pipeline_gives_our_images(
    images: Path, pipeline: Path, tmp_path: Path, prediction: str
) -> None:
    objective = Diffusion(prediction=prediction, schedule="scaled-linear")  # type: ignore[arg-type]
    one = trained(small(images, pipeline, objective=objective, learning_rate=1e-2), tmp_path / "run")
    folder = tmp_path / "exported"
    assert export_text_to_image(one, tmp_path / "run", folder) == "StableDiffusionPipeline"
    for place in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        assert (folder / place).is_dir()
    assert json.loads((folder / "model_index.json").read_text())["unet"] == [
        "diffusers",
        "UNet2DConditionModel",
    ]
    assert "kind" not in json.loads((folder / "model_index.json").read_text())
    loaded = StableDiffusionPipeline.from_pretrained(folder)
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(theirs(loaded, noise), ours(one, noise), atol=1e-3, rtol=0)
    assert f"{GUIDANCE:g}" in (folder / "README.md").read_text()
    with pytest.raises(FileExistsError, match="choose another --out or remove it"):
        export_text_to_image(one, tmp_path / "run", folder)


def test_plain_diffusers_runs_it_without_this_package(images: Path, pipeline: Path, tmp_path: Path) -> None:
    """In a fresh interpreter that cannot import the project, by the folder alone."""
    one = trained(small(images, pipeline), tmp_path / "run")
    export_text_to_image(one, tmp_path / "run", tmp_path / "exported")
    program = (
        "import sys; sys.modules['immiscible_diffusion'] = None\n"
        "from diffusers import DiffusionPipeline\n"
        f"pipeline = DiffusionPipeline.from_pretrained({str(tmp_path / 'exported')!r})\n"
        "print(type(pipeline).__name__, pipeline('a cat', num_inference_steps=2).images[0].size)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "StableDiffusionPipeline (16, 16)", done.stderr


@pytest.mark.parametrize("network", ["text-unet-tiny", "text-dit-small"])
def test_flow_matching_leaves_as_a_pipeline_of_ours(
    images: Path, pipeline: Path, tmp_path: Path, network: str
) -> None:
    experiment = small(images, pipeline, objective=FlowMatching(), network=network)
    one = trained(experiment, tmp_path / "run")
    assert export_text_to_image(one, tmp_path / "run", tmp_path / "exported") == "LatentTextPipeline"
    loaded = LatentTextPipeline.from_pretrained(tmp_path / "exported")
    assert isinstance(loaded.scheduler, FlowMatchEulerDiscreteScheduler)
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(theirs(loaded, noise), ours(one, noise), atol=1e-4, rtol=0)
    assert loaded("a cat", num_inference_steps=2).images[0].size == (16, 16)
    with pytest.raises(ValueError, match="unknown output_type 'pill'"):
        loaded("a cat", output_type="pill")
    with pytest.raises(ValueError, match="objective, latent_mean and latent_std must be given"):
        LatentTextPipeline(None, None, None, None, None)


def test_a_lora_loads_into_the_pipeline_it_was_trained_on(
    images: Path, pipeline: Path, tmp_path: Path
) -> None:
    experiment = fine_tuned(images, pipeline, lora_rank=4, learning_rate=0.1, clip_norm=100.0, ema_decay=0.0)
    one = trained(experiment, tmp_path / "run")
    assert export_text_to_image(one, tmp_path / "run", tmp_path / "lora") == "LoRA"
    assert (tmp_path / "lora" / "pytorch_lora_weights.safetensors").exists()
    assert "load_lora_weights" in (tmp_path / "lora" / "README.md").read_text()
    loaded = StableDiffusionPipeline.from_pretrained(pipeline)
    # The pipeline's own scheduler spaces its steps otherwise than ours.
    loaded.scheduler = type(loaded.scheduler).from_config(
        experiment.objective.scheduler().config, steps_offset=1
    )  # type: ignore[union-attr]
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    plain = theirs(loaded, noise)
    loaded.load_lora_weights(tmp_path / "lora")
    adapted = theirs(loaded, noise)
    assert (adapted - plain).abs().max() > 0.01
    torch.testing.assert_close(adapted, ours(one, noise), atol=1e-3, rtol=0)


def test_a_shift_of_latents_goes_into_the_autoencoder() -> None:
    """As Stable Diffusion 3's: StableDiffusionPipeline knows scaling_factor only."""
    for convolutions in (True, False):
        plain = tiny_autoencoder(
            shift_factor=0.4, use_quant_conv=convolutions, use_post_quant_conv=convolutions
        )
        scale = LatentScale(torch.full((4, 1, 1), 0.4), torch.full((4, 1, 1), 1 / SCALING))
        folded = scaled_vae(plain, 0.4, scale)
        clean, pixels = torch.randn(2, 4, 8, 8), torch.randn(2, 3, 16, 16)
        with torch.no_grad():
            torch.testing.assert_close(
                folded.decode(clean / SCALING).sample,
                plain.decode(scale.raw(clean)).sample,
                atol=1e-5,
                rtol=1e-4,
            )
            torch.testing.assert_close(
                folded.encode(pixels).latent_dist.mode() * SCALING,
                scale.clean(plain.encode(pixels).latent_dist.mode()),
                atol=1e-5,
                rtol=1e-4,
            )
        assert folded.config.shift_factor is None and plain.config.shift_factor == 0.4


def test_a_shifted_autoencoder_survives_saving(tmp_path: Path) -> None:
    plain = tiny_autoencoder(shift_factor=0.4, use_quant_conv=False, use_post_quant_conv=False)
    scale = LatentScale(torch.full((4, 1, 1), 0.4), torch.full((4, 1, 1), 1 / SCALING))
    scaled_vae(plain, 0.4, scale).save_pretrained(tmp_path / "vae")
    loaded = AutoencoderKL.from_pretrained(tmp_path / "vae").eval()
    clean = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(
            loaded.decode(clean / SCALING).sample, plain.decode(scale.raw(clean)).sample, atol=1e-5, rtol=1e-4
        )


def test_latents_of_the_tiny_flux_autoencoder_leave_standardised(shared_data: Path, tmp_path: Path) -> None:
    """taef2 has no diffusers class, so the vae is ours, and holds the measured scale."""
    data = write_images(tmp_path / "images", side=64, count=12)
    experiment = small(
        data,
        tmp_path,
        autoencoder=str(SHARED / "weights"),
        text_encoder="clip-untrained:64",
        vocabulary=str(VOCABULARY),
        steps=2,
    )
    one = trained(experiment, tmp_path / "run")
    assert export_text_to_image(one, tmp_path / "run", tmp_path / "exported") == "StableDiffusionPipeline"
    loaded = StableDiffusionPipeline.from_pretrained(tmp_path / "exported")
    noise = torch.randn(2, 32, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(theirs(loaded, noise), ours(one, noise), atol=1e-3, rtol=0)
    again = open_autoencoder(str(tmp_path / "exported"))  # to start from, at training scale already
    assert again.scaling == 1 and isinstance(again.module, type(one.model.autoencoder.module))
    assert one.model.scale.std.shape == (32, 1, 1) and len(set(one.model.scale.std.flatten().tolist())) == 32


def test_what_a_run_names_must_be_what_it_was(images: Path, pipeline: Path, tmp_path: Path) -> None:
    tiny_autoencoder().save_pretrained(tmp_path / "vae")
    trained(small(images, pipeline, autoencoder=str(tmp_path / "vae"), steps=1), tmp_path / "run")
    assert open_autoencoder(str(tmp_path / "vae"))
    tiny_autoencoder(seed=9).save_pretrained(tmp_path / "vae")
    with pytest.raises(ValueError, match=r"autoencoder .* is not what run .* put it back as it was"):
        load_trained_text_to_image(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"is no run folder: it has no config.json"):
        load_trained_text_to_image(tmp_path / "nothing")
    described = tmp_path / "run" / "data.json"
    described.write_text(described.read_text().replace("latent_mean", "latent_men"))
    with pytest.raises(ValueError, match=r"data.json cannot be read: it lacks latent_mean; put it back"):
        load_trained_text_to_image(tmp_path / "run")
