"""Two real processes train one text-to-image model: data shared out, steps and resume the same."""

import signal
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from tests.forking import Forks
from tests.runs.test_kills import outcome
from tests.small_runs import tensors
from tests.text_to_image.small_models import small, write_images

from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.pairing import pairing_from_name
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment
from immiscible_diffusion.text_to_image.networks import build_text_network
from immiscible_diffusion.text_to_image.runs import load_text_to_image_data
from immiscible_diffusion.text_to_image.training import text_to_image_steps

if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("torch without gloo", allow_module_level=True)

CAPTIONS = ["--prompt-column", "captions"]
COMMON = ["--batch-size", "8", "--out", "run", "--log-every", "1", "--sheet-every", "0"]


@pytest.fixture
def captioned(tmp_path: Path) -> Path:
    """A parquet file of 40 images of 16×16, with two captions each."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    images = [Image.fromarray(one) for one in pixels]
    captions = [[f"image {number}", f"noise of kind {number % 3}"] for number in range(40)]
    table = datasets.Dataset.from_dict({"image": images, "captions": captions})
    (tmp_path / "captioned").mkdir()
    table.cast_column("image", datasets.Image()).to_parquet(tmp_path / "captioned" / "train.parquet")
    return tmp_path / "captioned"


def trained(forks: Forks, folder: Path, data: Path, pipeline: Path, *arguments: str, **request: Any) -> Any:
    """Run `immiscible train` on the images with the tiny pipeline's autoencoder and text encoder."""
    folder.mkdir(exist_ok=True)
    models = ["--autoencoder", str(pipeline), "--text-encoder", str(pipeline)]
    settings = ["--data", str(data), *models, *COMMON, *arguments]
    # What the processes share, but in each test's own folder.
    variables = {"XDG_CACHE_HOME": str(folder / "cache"), **request.pop("variables", {})}
    return forks.run(
        "train", "tiny-imagenet-latent", *settings, folder=folder, variables=variables, **request
    )


def losses(run: Path) -> list[float]:
    return [record["loss"] for record in outcome(run)["metrics"]]


@pytest.mark.parametrize(
    "settings",
    [
        ["--pairing", "nearest:8", "--flip", "True", "--noise-offset", "0.1", "--prompt-dropout", "0.3"],
        ["--pairing", "assigned", "--accumulation", "2", "--gradient-checkpointing", "True"]
        + ["--network", "text-dit-small"],
    ],
)
def test_two_processes_have_the_losses_of_one(
    forks: Forks, tmp_path: Path, captioned: Path, pipeline: Path, settings: list[str]
) -> None:
    steps = ["--steps", "6", *CAPTIONS, *settings]
    done = trained(forks, tmp_path / "one", captioned, pipeline, *steps)
    assert done["code"] == 0, done
    done = trained(forks, tmp_path / "two", captioned, pipeline, *steps, "--processes", "2", processes=2)
    assert done["codes"] == [0, 0], done
    assert "parameters on cpu:0 in 2 processes" in done["stdouts"][0] and not done["stdouts"][1]
    one, two = tmp_path / "one" / "run", tmp_path / "two" / "run"
    assert len(losses(one)) == 6 and losses(two) == pytest.approx(losses(one), rel=2e-4)
    alone, together = tensors(one), tensors(two)
    for key in [key for key in alone if key.startswith("network.")]:
        torch.testing.assert_close(together[key], alone[key], rtol=0.0, atol=2e-3, msg=key)


@pytest.mark.parametrize("name", ["independent", "nearest:4", "assigned"])
def test_ranks_draw_different_noise(
    monkeypatch: pytest.MonkeyPatch, captioned: Path, pipeline: Path, name: str
) -> None:
    """Paired over the batch it is, with its offset, that of a single process."""
    settings = {"prompt_column": "captions", "pairing": name}
    one = small(captioned, pipeline, paired_over="batch", noise_offset=0.1, **settings)
    own = small(
        captioned, pipeline, paired_over="process", **settings
    )  # an offset would tell equal ones apart
    data = load_text_to_image_data(one).training
    given: list[torch.Tensor] = []

    def noises(experiment: TextToImageExperiment, processes: int) -> list[torch.Tensor]:
        given.clear()
        monkeypatch.setattr(Accelerator, "num_processes", processes)
        monkeypatch.setattr(Accelerator, "reduce", lambda self, tensor, how: tensor)
        for rank in range(processes):
            monkeypatch.setattr(Accelerator, "process_index", rank)
            network = build_text_network(experiment.network, data.latents.shape, 64)
            optimizer = torch.optim.AdamW(network.parameters())
            pairing = pairing_from_name(name, data.latents.mean())
            next(text_to_image_steps(experiment, data, pairing, network, optimizer, Accelerator(cpu=True)))
        return list(given)

    def spied(self: Diffusion, network: Any, clean: Any, noise: torch.Tensor, *rest: Any) -> torch.Tensor:
        given.append(noise)
        return loss(self, network, clean, noise, *rest)

    loss = Diffusion.loss
    monkeypatch.setattr(Diffusion, "loss", spied)
    (whole,) = noises(one, 1)
    assert torch.equal(torch.stack(noises(one, 2), 1).flatten(0, 1), whole)
    apart = torch.stack(noises(own, 2), 1).flatten(0, 1)
    assert not torch.equal(apart, whole)
    for noise in (whole, apart):
        assert len(noise.flatten(1).unique(dim=0)) == one.batch_size


def test_killed_and_resumed_they_end_bit_for_bit_alike(
    forks: Forks, tmp_path: Path, captioned: Path, pipeline: Path
) -> None:
    """The warning of noise that tells the prompt comes from the first process, and once."""
    command = [
        "--pairing",
        "assigned",
        "--rows",
        "40",
        "--checkpoint-every",
        "2",
        "--resume",
        "--steps",
        "12",
    ]
    command += [
        "--evaluate-every",
        "5",
        "--evaluate-at",
        "2",
        "--evaluate-count",
        "16",
        "--features",
        "pixels",
    ]
    done = trained(forks, tmp_path / "whole", captioned, pipeline, *command, processes=2)
    assert done["codes"] == [0, 0], done
    warned = "the noise alone tells the prompt"
    assert warned in done["stdouts"][0] and warned not in done["stdouts"][1]
    killed = {"signals": [["run/checkpoints/step-00000004", signal.SIGKILL, 0.0]]}
    done = trained(forks, tmp_path / "killed", captioned, pipeline, *command, processes=2, of=1, **killed)
    assert (
        done["codes"] == [2, -signal.SIGKILL] and "another process of the run is gone" in done["stderrs"][0]
    )
    done = trained(forks, tmp_path / "killed", captioned, pipeline, *command, processes=2)
    assert done["codes"] == [0, 0] and "Going on from step" in done["stdouts"][0], done
    assert warned not in "".join(done["stdouts"])
    assert outcome(tmp_path / "killed" / "run") == outcome(tmp_path / "whole" / "run")


def test_data_that_one_process_cannot_read_ends_both(forks: Forks, tmp_path: Path, pipeline: Path) -> None:
    for home in ("whole", "bad", "none"):
        write_images(tmp_path / home / "images", 0 if home == "none" else 24)
    (tmp_path / "bad" / "images" / "kind 1" / "001.png").write_bytes(b"no image")

    def ends(home: str) -> list[str]:
        homes = {"variables": {"HOME": str(tmp_path / "whole")}, "only": {"HOME": str(tmp_path / home)}}
        done = trained(forks, tmp_path, Path("~/images"), pipeline, processes=2, of=1, **homes)
        assert done["codes"] == [2, 2] and "Traceback" not in "".join(done["stderrs"]), done
        return [" ".join(said.split()) for said in done["stderrs"]]

    first, second = ends("none")
    assert "process 1 of 2 gave up: unknown data" in first and "1 of 2: unknown data" in second
    for said in ends("bad"):  # before anything is encoded
        assert ": data is " in said and "the same data and --out on a disk that they share" in said
