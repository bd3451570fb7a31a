"""Exported pipelines draw what the run's own sampler draws, at the scale that the network was trained at."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline
from PIL import Image
from torch import Tensor, nn

from immiscible_diffusion.data.images import NATURAL_STD
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.generation import generate
from immiscible_diffusion.networks import build_network
from immiscible_diffusion.objectives import EDM, Consistency, Diffusion, FlowMatching, Objective
from immiscible_diffusion.pipelines import ScaledImagePipeline, build_pipeline, export_pipeline
from immiscible_diffusion.runs.images import advance, open_run
from immiscible_diffusion.runs.trained_model import load_trained
from immiscible_diffusion.sampling import sample

SHAPE = (1, 8, 8)
DATA = {
    "name": "digits",
    "count": 1797,
    "shape": [1, 8, 8],
    "fingerprint": "6d26",
    "class_names": list("0123456789"),
}


def small(**settings: Any) -> Experiment:
    base = named_experiment("digits-ddim")
    return dataclasses.replace(
        base, **{"network": "unet-tiny", "objective": Diffusion("v", "cosine"), **settings}
    )


def untrained(experiment: Experiment) -> nn.Module:
    """A network whose images are about as far from 0 as digits are: v and velocities need no training."""
    classes = 10 if experiment.class_conditional else None
    return build_network(experiment.network, SHAPE, classes).eval().requires_grad_(False)


def exported(experiment: Experiment, network: nn.Module, tmp_path: Path) -> Path:
    (tmp_path / "data.json").write_text(json.dumps(DATA))
    export_pipeline(experiment, network, SHAPE, 7, tmp_path, tmp_path / "pipeline")
    return tmp_path / "pipeline"


def drawn(seed: int = 3, count: int = 6) -> tuple[Tensor, torch.Generator]:
    """The noise that a pipeline draws from the generator beside it."""
    noise = torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed))
    return noise, torch.Generator().manual_seed(seed)


def inside(images: Tensor) -> float:
    """The share of pixels that clamping to [0, 1] leaves alone; the others are compared for nothing."""
    return float(((images > 0) & (images < 1)).float().mean())


def test_a_trained_unet_loads_as_plain_ddim(tmp_path: Path) -> None:
    experiment = small(objective=Diffusion(), steps=40, batch_size=32, warmup_steps=1, ema_decay=0.5)
    for _ in advance(open_run(experiment, tmp_path, log_with="none"), sheet_every=0):
        pass
    model = load_trained(tmp_path)
    name = export_pipeline(
        experiment, model.network, model.shape, model.step, tmp_path, tmp_path / "pipeline"
    )
    assert name == "DDIMPipeline"
    pipeline = DDIMPipeline.from_pretrained(tmp_path / "pipeline", trust_remote_code=False)
    arrived = []  # before DDIMPipeline clamps them
    step = pipeline.scheduler.step
    pipeline.scheduler.step = lambda *given, **named: arrived.append(step(*given, **named)) or arrived[-1]
    noise, generator = drawn()
    images = pipeline(6, generator, eta=0.0, num_inference_steps=50, output_type="pt").images
    ours = sample(experiment.objective, model.network, noise, 50)
    assert ours.std() > 0.1 and len(arrived) == 50
    torch.testing.assert_close(arrived[-1].prev_sample, ours, atol=1e-4, rtol=0)
    torch.testing.assert_close(images, (ours / 2 + 0.5).clamp(0, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "settings",
    [
        {"image_std": 2.0},
        {"image_std": 2.0, "objective": FlowMatching()},
        {"objective": FlowMatching()},
        {"class_conditional": True},
        {"network": "mlp"},
        {"network": "mlp", "objective": FlowMatching(), "class_conditional": True, "image_std": 1.0},
    ],
    ids=str,
)
def test_other_runs_load_as_our_pipeline(tmp_path: Path, settings: dict[str, Any]) -> None:
    experiment = small(**settings)
    network = untrained(experiment)
    folder = exported(experiment, network, tmp_path)
    assert list(folder.rglob("*.safetensors")) and not [*folder.rglob("*.bin"), *folder.rglob("*.pt")]
    stored = json.loads((folder / "model_index.json").read_text())
    assert stored["image_std"] == experiment.image_std

    pipeline = ScaledImagePipeline.from_pretrained(folder, trust_remote_code=False)
    noise, generator = drawn()
    labels = torch.tensor([3, 1, 4, 1, 5, 9]) if experiment.class_conditional else None
    given = {"num_inference_steps": 8, "class_labels": labels}
    images = pipeline(6, generator, **given, output_type="pt").images
    ours = sample(experiment.objective, network, noise, 8, condition=labels)
    ours = ours * (NATURAL_STD / experiment.image_std) / 2 + 0.5
    assert inside(ours) > 0.4
    torch.testing.assert_close(images, ours.clamp(0, 1), atol=1e-4, rtol=0)

    pictures = pipeline(6, drawn()[1], **given).images
    pixels = generate(experiment, network, SHAPE, 6, 8, drawn()[1], labels=labels)
    assert [picture.mode for picture in pictures] == ["L"] * 6
    np.testing.assert_array_equal(
        np.stack([np.asarray(picture) for picture in pictures]), pixels[:, 0].numpy()
    )
    with pytest.raises(ValueError, match=r"expected .*unet"):  # it would decode at the wrong scale
        DDIMPipeline.from_pretrained(folder)


@pytest.mark.parametrize(
    ("objective", "steps"), [(Consistency(), 1), (Consistency(), 3), (Consistency(), None), (EDM(), 6)]
)
def test_added_noise_and_fresh_noise_are_the_samplers_own(
    tmp_path: Path, objective: Objective, steps: int | None
) -> None:
    experiment = small(network="mlp", objective=objective, class_conditional=True, image_std=1.0)
    network = untrained(experiment)
    pipeline = ScaledImagePipeline.from_pretrained(exported(experiment, network, tmp_path))
    labels = torch.arange(6)
    pictures = pipeline(6, drawn()[1], steps, class_labels=labels).images
    pixels = generate(experiment, network, SHAPE, 6, steps or 4, drawn()[1], labels=labels)
    assert float(pixels.float().std()) > 10
    np.testing.assert_array_equal(np.stack([np.asarray(one) for one in pictures]), pixels[:, 0].numpy())


def test_labels_samplers_and_outputs_are_the_callers_choice() -> None:
    experiment = small(class_conditional=True)
    network = untrained(experiment)
    nn.init.normal_(network.unet.class_embedding.weight, std=5)  # else an untrained network hardly heeds it
    pipeline = build_pipeline(experiment, network, SHAPE)
    pipeline.set_progress_bar_config(disable=True)

    def images(**given: Any) -> Any:
        return pipeline(2, drawn()[1], 3, output_type=given.pop("output_type", "pt"), **given).images

    assert torch.equal(images(class_labels=4), images(class_labels=[4, 4]))
    assert not torch.equal(images(class_labels=4), images(class_labels=[5, 6]))
    assert not torch.equal(images(class_labels=4), images(class_labels=4, sampler="heun"))
    assert images(class_labels=4, output_type="np").shape == (2, 8, 8, 1)
    for wrong, words in [
        ({}, "must be given.* 10 classes"),
        ({"class_labels": [1, 2, 3]}, "or 2 of them"),
        ({"class_labels": 10}, "from 0 to 9"),
        ({"class_labels": 4, "output_type": "pill"}, "did you mean 'pil'"),
        ({"class_labels": 4, "sampler": "hein"}, "did you mean 'heun'"),
    ]:
        with pytest.raises(ValueError, match=words):
            images(**wrong)
    with pytest.raises(ValueError, match="left out"):
        build_pipeline(small(network="mlp"), untrained(small(network="mlp")), SHAPE)(class_labels=4)


def test_a_pipeline_that_has_lost_its_scale_does_not_load(tmp_path: Path) -> None:
    experiment = small(image_std=2.0)
    folder = exported(experiment, untrained(experiment), tmp_path)
    stored = json.loads((folder / "model_index.json").read_text())
    del stored["image_std"]
    (folder / "model_index.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match="wrong scale"):
        ScaledImagePipeline.from_pretrained(folder)


def test_the_card_says_what_it_is_and_its_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = {
        "frechet": 1.25,
        "kernel": 0.5,
        "features": "probe(digits)",
        "distance_name": "Fréchet distance",
    }
    scored |= {"real_count": 1797, "generated_count": 80, "warning": "80 images are few"}
    evaluation = {"step": 5, "sampler": "euler", "evaluations": {"20": scored}}
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    experiment = small(objective=FlowMatching(), image_std=2.0, class_conditional=True, seed=11, steps=1200)
    card = (exported(experiment, untrained(experiment), tmp_path) / "README.md").read_text(encoding="utf-8")
    for words in (
        "digits",
        "`6d26`",
        "`assigned:above`",
        "| image_std | 2.0",
        "flow-matching",
        "7 of 1,200",
        "| Seed | 11",
    ):
        assert words in card
    assert "| 20 | Fréchet distance 1.2500 | 0.50000 | probe(digits) | 80 and 1,797 |" in card
    assert "80 images are few" in card and "at step 5" in card and "of step 7" in card
    assert "FID" not in card and str(Path.home()) + "/" not in card.replace(str(tmp_path), "")
    monkeypatch.chdir(tmp_path)
    exec(card.split("```python\n")[1].split("```")[0], {})
    assert Image.open(tmp_path / "sample.png").size == (8, 8)


def test_a_folder_in_use_and_an_unknown_network_are_refused(tmp_path: Path) -> None:
    experiment = small()
    (tmp_path / "data.json").write_text(json.dumps(DATA))
    with pytest.raises(ValueError, match=r"'unet-tiny' cannot be saved.*--network unet-tiny"):
        export_pipeline(experiment, nn.Identity(), SHAPE, 7, tmp_path, tmp_path / "other")
    with pytest.raises(FileExistsError, match="--out"):
        export_pipeline(experiment, untrained(experiment), SHAPE, 7, tmp_path, tmp_path)
    assert not (tmp_path / "other").exists() and not (tmp_path / "unet").exists()
