"""Training on latents: matched between pairings, noise changed in the right order, resumed exactly."""

import dataclasses
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from diffusers.training_utils import compute_snr
from tests.text_to_image.small_models import fine_tuned, small, tiny_autoencoder, write_images, write_pipeline
from torch import Tensor, nn

from immiscible_diffusion.batches import Batch
from immiscible_diffusion.experiment import OtherKindError, from_json, to_json
from immiscible_diffusion.objectives import Diffusion, FlowMatching
from immiscible_diffusion.pairing import Above, Assigned, Independent, pairing_from_name, told_apart
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.runs.checkpoints import newest_checkpoint
from immiscible_diffusion.runs.loop import Schedule
from immiscible_diffusion.text_to_image.autoencoders import LatentScale
from immiscible_diffusion.text_to_image.experiment import (
    TextToImageExperiment,
    is_text_to_image_run,
    text_to_image_from_json,
)
from immiscible_diffusion.text_to_image.guidance import Guided
from immiscible_diffusion.text_to_image.networks import diffusers_model
from immiscible_diffusion.text_to_image.runs import (
    advance_text_to_image,
    load_text_to_image_data,
    open_text_to_image_run,
)
from immiscible_diffusion.text_to_image.skew import text_skew
from immiscible_diffusion.text_to_image.training import offset_noise, text_batch
from immiscible_diffusion.training import steps_on

EIGHT, ABSENT = find_spec("bitsandbytes") is not None, "bitsandbytes is not installed"
QUIET = Schedule(checkpoint_every=2, sheet_every=0)


def finish(experiment: TextToImageExperiment, folder: Path, resume: bool = False) -> dict[str, Tensor]:
    run = open_text_to_image_run(experiment, folder, resume=resume)
    for _ in advance_text_to_image(run, QUIET):
        pass
    held = newest_checkpoint(folder / "checkpoints")
    assert held is not None and held.step == experiment.steps
    return {f"{file}.{key}": value for file, one in held.tensors.items() for key, value in one.items()}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize(
    "settings",
    [
        {"pairing": "assigned", "noise_offset": 0.1, "flip": True},
        {
            "objective": FlowMatching(),
            "pairing": "nearest:2:above",
            "network": "text-dit-small",
            "gradient_checkpointing": True,
        },
        pytest.param({"optimiser": "adamw-8bit"}, marks=pytest.mark.skipif(not EIGHT, reason=ABSENT)),
    ],
)
def test_a_resumed_run_ends_bit_for_bit_alike(
    images: Path, pipeline: Path, tmp_path: Path, settings: dict[str, object]
) -> None:
    experiment = small(images, pipeline, **settings)
    whole = finish(experiment, tmp_path / "whole")
    run = open_text_to_image_run(experiment, tmp_path / "halved")
    steps = advance_text_to_image(run, QUIET)
    for done in steps:
        if done.step == 3:
            steps.close()
            break
    assert_same(finish(experiment, tmp_path / "halved", resume=True), whole)


def test_pairings_share_all_but_the_noise(images: Path, pipeline: Path, tmp_path: Path) -> None:
    one = small(images, pipeline, flip=True)
    data = load_text_to_image_data(one).training
    for step in (0, 5):
        batch = text_batch(one, data, step)
        other = text_batch(small(images, pipeline, flip=True, pairing="assigned"), data, step)
        for name in ("clean", "condition", "time", "rows"):
            assert torch.equal(getattr(batch, name), getattr(other, name)), name
        halves = [text_batch(one, data, step, rank, 2) for rank in (0, 1)]
        for rank, half in enumerate(halves):
            assert torch.equal(half.clean, batch.clean[rank::2])
            assert torch.equal(half.condition, batch.condition[rank::2])  # type: ignore[index,arg-type]
    # Prompts are those of the rows; about a quarter is dropped.
    empty, dropped = data.prompts.empty, 0
    for step in range(40):
        batch = text_batch(one, data, step)
        assert batch.condition is not None
        for row, condition in zip(batch.rows.tolist(), batch.condition, strict=True):
            without = torch.equal(condition, empty)
            dropped += without
            own = data.prompts.of(torch.tensor([row]), torch.tensor([0]))[0]
            assert without or torch.equal(condition, own)
    assert 0.17 < dropped / 320 < 0.33
    first = open_text_to_image_run(one, tmp_path / "one")
    second = open_text_to_image_run(small(images, pipeline, flip=True, pairing="assigned"), tmp_path / "two")
    for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_level_to_pair_above_is_that_of_the_latents(images: Path, pipeline: Path, tmp_path: Path) -> None:
    run = open_text_to_image_run(small(images, pipeline, pairing="assigned:above"), tmp_path / "run")
    latents = run.data.latents
    every = latents.clean(torch.arange(len(latents)), torch.zeros(len(latents), dtype=torch.int64))
    assert isinstance(run.pairing, Above) and isinstance(run.pairing.pairing, Assigned)
    assert run.pairing.level == pytest.approx(told_apart(every), rel=1e-4)
    scale = LatentScale(latents.scale.mean, 2 * latents.scale.std)
    smaller = dataclasses.replace(latents, scale=scale)
    assert smaller.told_apart() == pytest.approx(latents.told_apart() / 2, rel=1e-4)


class Remembering(nn.Module):
    """A network that keeps what it saw and answers with nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[Tensor] = []

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        self.seen.append(noisy)
        return self.weight * noisy


def test_noise_is_paired_then_offset_then_a_target(images: Path, pipeline: Path) -> None:
    """Pairing sees noise without offset; what is added to the image is what the loss compares with."""
    experiment = small(images, pipeline, noise_offset=0.5, steps=1, batch_size=16)
    clean = torch.randn(16, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    time = torch.full((16,), 999)
    network = Remembering()
    accelerator = Accelerator(cpu=True)
    pairing = pairing_from_name("nearest:8:uncentred")
    steps = steps_on(
        experiment,
        lambda *at: Batch(clean, torch.zeros(16, 1, 1), time, torch.arange(16)),
        pairing,
        network,
        torch.optim.SGD(network.parameters(), lr=0.0),
        accelerator,
        noise_at=lambda noise, generator: offset_noise(noise, generator, 0.5),
    )
    (done,) = steps
    paired = pairing(clean, generator=generator_for(experiment.seed, "noise", 0))
    wanted = offset_noise(paired, generator_for(experiment.seed, "offset", 0), 0.5)
    added = wanted - paired
    assert added.std() > 0.3
    torch.testing.assert_close(added, added[:, :, :1, :1].expand_as(added), atol=1e-6, rtol=0)
    torch.testing.assert_close(network.seen[0], experiment.objective.diffuse(clean, wanted, time))
    assert float(done.loss) == pytest.approx(
        float(wanted.square().mean()), rel=1e-5
    )  # the target was it, too


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("schedule", ["linear", "scaled-linear"])
def test_min_snr_weights_are_those_of_diffusers_scripts(prediction: str, schedule: str) -> None:
    objective = Diffusion(prediction, schedule, min_snr_gamma=5.0)  # type: ignore[arg-type]
    time = torch.arange(0, 1000, 7)
    snr = compute_snr(objective.scheduler(), time)
    capped = torch.minimum(snr, torch.full_like(snr, 5.0))
    wanted = capped / (snr + 1) if prediction == "v" else capped / snr
    torch.testing.assert_close(objective.snr_weights(time), wanted)
    clean, noise = torch.randn(len(time), 3), torch.randn(len(time), 3)
    plain = Diffusion(prediction, schedule)  # type: ignore[arg-type]

    def network(noisy: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        return noisy * 0.3

    torch.testing.assert_close(
        objective.loss(network, clean, noise, time), plain.loss(network, clean, noise, time) * wanted
    )
    with pytest.raises(ValueError, match="min_snr_gamma must be greater than 0, got 0; 5 is usual"):
        Diffusion(min_snr_gamma=0)


def test_fine_tuning_starts_from_the_pipelines_weights(images: Path, pipeline: Path, tmp_path: Path) -> None:
    experiment = fine_tuned(images, pipeline)
    run = open_text_to_image_run(experiment, tmp_path / "full")
    from diffusers import UNet2DConditionModel

    theirs = UNet2DConditionModel.from_pretrained(pipeline / "unet").state_dict()
    ours = diffusers_model(run.network).state_dict()
    assert all(torch.equal(value, ours[key]) for key, value in theirs.items())
    whole = finish(fine_tuned(images, pipeline, lora_rank=4), tmp_path / "lora")
    names = [name for name in whole if name.startswith(("network.", "averaged."))]
    assert names and all("lora_" in name for name in names)  # the network under it is not stored
    steps = advance_text_to_image(
        open_text_to_image_run(fine_tuned(images, pipeline, lora_rank=4), tmp_path / "half"), QUIET
    )
    for done in steps:
        if done.step == 3:
            steps.close()
            break
    again = finish(fine_tuned(images, pipeline, lora_rank=4), tmp_path / "half", resume=True)
    assert_same(again, whole)


def test_what_does_not_belong_together_is_refused(images: Path, pipeline: Path, tmp_path: Path) -> None:
    other = write_pipeline(tmp_path / "v", prediction_type="v_prediction")
    with pytest.raises(ValueError, match=r"was trained with prediction_type 'v_prediction', .*--prediction"):
        open_text_to_image_run(fine_tuned(images, other), tmp_path / "run")
    linear = fine_tuned(images, pipeline, objective=Diffusion())
    with pytest.raises(ValueError, match=r"beta_schedule 'scaled_linear', .* has 'linear'; give --schedule"):
        open_text_to_image_run(linear, tmp_path / "run")
    tiny_autoencoder(channels=3).save_pretrained(tmp_path / "three")
    wrong = fine_tuned(images, pipeline, autoencoder=str(tmp_path / "three"), latents=str(tmp_path / "l3"))
    with pytest.raises(ValueError, match=r"network and autoencoder disagree: .* takes 4 .* has 3; give"):
        open_text_to_image_run(wrong, tmp_path / "run")
    if not EIGHT:
        with pytest.raises(ValueError, match="'adamw-8bit' needs bitsandbytes, which is not installed"):
            open_text_to_image_run(small(images, pipeline, optimiser="adamw-8bit"), tmp_path / "run")
    missing = small(images, pipeline, prompt_column="caption", label_column=None)
    with pytest.raises(ValueError, match="prompt_column: unknown column 'caption'"):
        open_text_to_image_run(missing, tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()

    experiment = small(images, pipeline)
    finish(experiment, tmp_path / "done")
    with pytest.raises(FileExistsError, match="already holds a run; add --resume"):
        open_text_to_image_run(experiment, tmp_path / "done")
    with pytest.raises(ValueError, match=r"began with other settings \(noise_offset 0.0 → 0.2\)"):
        open_text_to_image_run(small(images, pipeline, noise_offset=0.2), tmp_path / "done", resume=True)
    write_images(images, count=30)
    moved = tmp_path / "elsewhere"
    changed = json.loads((tmp_path / "done" / "config.json").read_text()) | {"latents": str(moved)}
    (tmp_path / "done" / "config.json").write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=r"is not what run .* began with"):
        open_text_to_image_run(small(images, pipeline, latents=str(moved)), tmp_path / "done", resume=True)


def test_experiments_round_trip_and_tell_their_kind(images: Path, pipeline: Path, tmp_path: Path) -> None:
    experiment = small(images, pipeline, objective=Diffusion(min_snr_gamma=5.0), lora_rank=0)
    text = to_json(experiment)
    assert text_to_image_from_json(text) == experiment
    assert not is_text_to_image_run(tmp_path)
    (tmp_path / "config.json").write_text(text)
    assert is_text_to_image_run(tmp_path)
    with pytest.raises(OtherKindError, match="the run trains a text-to-image model, and this command is for"):
        from_json(text)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"network": "text-unt-tiny"}, "did you mean 'text-unet-tiny'"),
        ({"network": "pretrained"}, "network 'pretrained' and start_from belong together"),
        ({"start_from": "x"}, "give --start-from a pipeline's folder, or name a network"),
        ({"lora_rank": 4}, "lora_rank 4 needs a trained network to adapt; give --start-from"),
        ({"prompt_dropout": 1.0}, "prompt_dropout must be from 0 up to but not 1, got 1.0; 0.1 is usual"),
        ({"guidance": -1.0}, "guidance must be 0 or more, got -1.0; 1 is none"),
        ({"autoencoder": ""}, "autoencoder must be given, as nothing is started from; give --autoencoder"),
        ({"pairing": "semidiscrete"}, "is fitted to images, not latents"),
        ({"pairing": "nearest:8:whitened"}, "is fitted to images, not latents"),
        ({"pairing": "nearest:8:coarse2:rescaled:until50"}, "is fitted to images, not latents"),
        ({"noise_offset": -0.1}, "noise_offset must be 0 or more"),
        ({"encode_precision": "fp16"}, "unknown encode_precision 'fp16'"),
        ({"optimiser": "adam"}, "unknown optimiser 'adam'"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        small(tmp_path / "images", tmp_path, **setting)


def test_guidance_steers_away_from_no_prompt() -> None:
    seen = []

    class Linear(nn.Module):
        def forward(self, noisy: Tensor, time: Tensor, condition: Tensor) -> Tensor:
            seen.append(len(noisy))
            return noisy + condition.mean((1, 2))[:, None]

    noisy, time, empty = torch.randn(5, 3), torch.arange(5.0), torch.full((7, 2), 2.0)
    condition = torch.randn(5, 7, 2)
    given, without = noisy + condition.mean((1, 2))[:, None], noisy + 2
    guided = Guided(Linear(), 4.0, empty)(noisy, time, condition)
    torch.testing.assert_close(guided, without + 4 * (given - without))
    torch.testing.assert_close(Guided(Linear(), 1.0, empty)(noisy, time, condition), given)
    assert seen == [10, 5]


def test_noise_that_tells_the_prompt_is_found(images: Path, pipeline: Path) -> None:
    experiment = small(images, pipeline, batch_size=24)
    data = load_text_to_image_data(experiment).training
    assigned = text_skew(experiment, data, pairing_from_name("assigned"), rows=1000)
    assert assigned is not None and assigned.classes == 3 and assigned.stands_out
    assert text_skew(experiment, data, Independent()) is None
    assert text_skew(experiment, data, pairing_from_name("assigned:within")) is None
