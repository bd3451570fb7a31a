"""The loop, and runs that resume exactly."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from immiscible_diffusion.data.images import load_images
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.networks import build_network
from immiscible_diffusion.objectives import FlowMatching
from immiscible_diffusion.pairing import Above, Independent
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.runs.checkpoints import newest_checkpoint
from immiscible_diffusion.runs.images import advance, open_run
from immiscible_diffusion.runs.loop import averaged
from immiscible_diffusion.runs.trained_model import load_trained
from immiscible_diffusion.training import make_batch, training_steps


def small(**settings: object) -> Experiment:
    base = named_experiment("digits-flow")
    return dataclasses.replace(base, **{"steps": 12, "batch_size": 32, **settings})


def finish(experiment: Experiment, folder: Path, resume: bool = False) -> dict[str, torch.Tensor]:
    for _ in advance(
        open_run(experiment, folder, resume=resume, log_with="none"), checkpoint_every=4, sheet_every=0
    ):
        pass
    checkpoint = newest_checkpoint(folder / "checkpoints")
    assert checkpoint is not None and checkpoint.step == experiment.steps
    return {
        f"{file}.{key}": value for file, held in checkpoint.tensors.items() for key, value in held.items()
    }


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def metrics(folder: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines]


@pytest.mark.parametrize("pairing", ["independent", "nearest:4", "assigned"])
@pytest.mark.parametrize("stop", [1, 4, 7])
@pytest.mark.parametrize("window", [1, 5])
def test_a_resumed_run_ends_bit_for_bit_alike(tmp_path: Path, pairing: str, stop: int, window: int) -> None:
    experiment = small(pairing=pairing, flip=True, class_conditional=True, pairing_window=window)
    whole = finish(experiment, tmp_path / "whole")
    steps = advance(
        open_run(experiment, tmp_path / "halved", log_with="none"),
        checkpoint_every=4,
        sheet_every=0,
        log_every=2,
    )
    for done in steps:
        if done.step == stop:
            break
    steps.close()
    assert_same(finish(experiment, tmp_path / "halved", resume=True), whole)


def test_metrics_of_repeated_steps_are_not_doubled(tmp_path: Path) -> None:
    experiment = small(steps=10)
    for _ in advance(open_run(experiment, tmp_path / "whole", log_with="none"), sheet_every=0, log_every=1):
        pass
    steps = advance(
        open_run(experiment, tmp_path / "killed", log_with="none"),
        checkpoint_every=4,
        sheet_every=0,
        log_every=1,
    )
    for done in steps:
        if done.step == 6:
            break
    # As after a SIGKILL: what was logged is there, the checkpoint of step 6 is not.
    monkey = newest_checkpoint(tmp_path / "killed" / "checkpoints")
    assert monkey is not None and monkey.step == 4
    for _ in advance(
        open_run(experiment, tmp_path / "killed", resume=True, log_with="none"), sheet_every=0, log_every=1
    ):
        pass
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "whole")
    assert [step for step, _ in metrics(tmp_path / "whole")] == list(range(1, 11))


def test_pairings_share_weights_rows_and_times(tmp_path: Path) -> None:
    data = load_images("digits")
    batches = [make_batch(small(pairing=name), data, step=3) for name in ("independent", "assigned")]
    assert torch.equal(batches[0].clean, batches[1].clean) and torch.equal(batches[0].time, batches[1].time)
    networks = [
        open_run(small(pairing=name), tmp_path / name, log_with="none", data=data).network
        for name in ("independent", "assigned")
    ]
    assert_same(networks[0].state_dict(), networks[1].state_dict())
    other = make_batch(small(seed=1), data, step=3)
    assert not torch.equal(other.time, batches[0].time) and not torch.equal(other.rows, batches[0].rows)


def test_ranks_together_see_what_one_process_sees() -> None:
    data, experiment = load_images("digits"), small(flip=True)
    alone = make_batch(experiment, data, step=2)
    ranks = [make_batch(experiment, data, 2, rank, 2) for rank in range(2)]
    assert torch.equal(torch.stack([rank.clean for rank in ranks], 1).flatten(0, 1), alone.clean)
    assert torch.equal(torch.stack([rank.time for rank in ranks], 1).flatten(), alone.time)


def test_accumulation_changes_nothing_but_rounding(tmp_path: Path) -> None:
    whole = finish(small(pairing="assigned"), tmp_path / "whole")
    pieces = finish(small(pairing="assigned", accumulation=4), tmp_path / "pieces")
    for key in (key for key in whole if key.startswith("network")):
        torch.testing.assert_close(whole[key], pieces[key], atol=2e-4, rtol=1e-2)


def test_training_learns_and_averages(tmp_path: Path) -> None:
    experiment = small(steps=150, batch_size=128, ema_decay=0.9)
    run = open_run(experiment, tmp_path, log_with="none")
    losses = [float(done.loss) for done in advance(run, checkpoint_every=0, sheet_every=0)]
    assert sum(losses[-20:]) < 0.7 * sum(losses[:20])
    own = {key: value.clone() for key, value in run.network.state_dict().items()}
    with averaged(run) as network:
        lent = {key: value.clone() for key, value in network.state_dict().items()}
    assert any(not torch.equal(own[key], lent[key]) for key in own)
    assert_same(run.network.state_dict(), own)
    model = load_trained(tmp_path)
    assert model.step == 150 and all(
        torch.equal(value, lent[key]) for key, value in model.network.state_dict().items()
    )


def test_clipping_warm_up_and_reports() -> None:
    experiment = small(steps=4, warmup_steps=4, clip_norm=0.1, learning_rate=1e-2)
    data, network = load_images("digits"), build_network("mlp", (1, 8, 8))
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    before = torch.cat([p.detach().flatten().clone() for p in network.parameters()])
    rates = []
    for done in training_steps(experiment, data, Independent(), network, optimizer, Accelerator(cpu=True)):
        after = torch.cat([p.detach().flatten().clone() for p in network.parameters()])
        # Plain SGD moves by rate × clipped gradient.
        assert float((after - before).norm()) == pytest.approx(done.learning_rate * 0.1, rel=1e-2)
        assert float(done.gradient_norm) > 0.1 and 0 <= done.pairing_seconds < done.seconds
        before = after
        rates.append(done.learning_rate)
    assert rates == pytest.approx([2.5e-3, 5e-3, 7.5e-3, 1e-2])


def test_the_pairing_sees_images_and_labels_and_its_noise_is_used() -> None:
    data = load_images("digits")
    seen = []

    def spy(clean: torch.Tensor, *, generator: object = None, condition: object = None, mask: object = None):
        seen.append((clean.clone(), condition))
        return torch.zeros_like(clean)

    experiment = small(steps=2, class_conditional=True, learning_rate=1e-9)
    network = build_network("mlp", (1, 8, 8), classes=10)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-9)
    losses = [
        float(done.loss)
        for done in training_steps(experiment, data, spy, network, optimizer, Accelerator(cpu=True))
    ]
    for step, (clean, condition) in enumerate(seen):
        batch = make_batch(experiment, data, step)
        assert torch.equal(clean, batch.clean) and torch.equal(condition, batch.condition)
        assert torch.equal(condition, data.labels[batch.rows])
        with torch.no_grad():
            expected = (
                FlowMatching().loss(network, clean, torch.zeros_like(clean), batch.time, condition).mean()
            )
        assert losses[step] == pytest.approx(float(expected), rel=1e-4)


def test_noise_is_paired_where_the_steps_own_levels_are_high() -> None:
    data = load_images("digits")
    experiment = small(steps=2, learning_rate=1e-9)
    network = build_network("mlp", (1, 8, 8))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-9)

    def zeros(clean: torch.Tensor, **_: object) -> torch.Tensor:
        return torch.zeros_like(clean)

    losses = [
        float(done.loss)
        for done in training_steps(
            experiment, data, Above(zeros, 1.0), network, optimizer, Accelerator(cpu=True)
        )
    ]
    for step, loss in enumerate(losses):
        batch = make_batch(experiment, data, step)
        plain = Independent()(batch.clean, generator=generator_for(experiment.seed, "noise", step))
        # In flow matching σ = t / (1 − t) is 1 at t = 1/2.
        noise = torch.where(batch.time[:, None, None, None] >= 0.5, 0.0, plain)
        with torch.no_grad():
            expected = FlowMatching().loss(network, batch.clean, noise, batch.time).mean()
        assert loss == pytest.approx(float(expected), rel=1e-4)


def test_run_folder_errors(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    finish(small(), folder)
    with pytest.raises(
        FileExistsError, match=r"already holds a run; add --resume .* or choose another --out"
    ):
        open_run(small(), folder, log_with="none")
    with pytest.raises(ValueError, match=r"began with other settings \(seed 0 → 3\)"):
        open_run(small(seed=3), folder, resume=True, log_with="none")
    assert finish(small(steps=14), folder, resume=True)  # more steps are welcome
    described = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps({**described, "fingerprint": "other"}))
    with pytest.raises(ValueError, match=r"is not what run .* began with"):
        open_run(small(steps=14), folder, resume=True, log_with="none")
    with pytest.raises(FileNotFoundError, match=r"is no run folder: it has no config\.json"):
        load_trained(tmp_path)
    open_run(small(), tmp_path / "fresh", log_with="none")
    with pytest.raises(FileNotFoundError, match="has no checkpoint yet"):
        load_trained(tmp_path / "fresh")


def test_labels_are_needed_for_classes(shared_data: Path, tmp_path: Path) -> None:
    experiment = small(data=str(shared_data / "flickr8k_64" / "test.parquet"), class_conditional=True, rows=8)
    with pytest.raises(ValueError, match="class_conditional needs labels"):
        open_run(experiment, tmp_path, log_with="none")
