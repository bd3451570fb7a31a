"""Training a policy: matched between pairings, resumed exactly, its noise telling more or less."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from immiscible_diffusion.experiment import from_json, to_json
from immiscible_diffusion.objectives import Diffusion, FlowMatching
from immiscible_diffusion.pairing import Above, Assigned, Independent, Nearest, pairing_from_name, told_apart
from immiscible_diffusion.pairing.within import similar_rows
from immiscible_diffusion.policy.chunks import Chunks, load_chunks
from immiscible_diffusion.policy.experiment import (
    PolicyExperiment,
    is_policy_run,
    policy_from_json,
)
from immiscible_diffusion.policy.kept import kept_policies, load_policy
from immiscible_diffusion.policy.paired_chunks import (
    Standardised,
    WithinSimilar,
    policy_pairing,
)
from immiscible_diffusion.policy.runs import advance_policy, open_policy_run
from immiscible_diffusion.policy.skew import noise_skew
from immiscible_diffusion.policy.training import chunk_batch, learning_rate_at, pairing_begins
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.runs.checkpoints import chosen_checkpoint, newest_checkpoint


def small(source: Path, **settings: object) -> PolicyExperiment:
    base = PolicyExperiment(
        "test",
        str(source),
        "mlp",
        Diffusion(schedule="cosine", training_steps=100),
        pairing="nearest:2",
        batch_size=32,
        steps=12,
        learning_rate=1e-3,
        warmup_steps=4,
        observations="state",
    )
    return dataclasses.replace(base, **settings)  # type: ignore[arg-type]


def finish(experiment: PolicyExperiment, folder: Path, resume: bool = False) -> dict[str, torch.Tensor]:
    for _ in advance_policy(open_policy_run(experiment, folder, resume=resume), checkpoint_every=1):
        pass
    checkpoint = newest_checkpoint(folder / "checkpoints")
    assert checkpoint is not None and checkpoint.step == experiment.steps
    return {
        f"{file}.{key}": value for file, held in checkpoint.tensors.items() for key, value in held.items()
    }


def averaged(folder: Path, step: int) -> dict[str, torch.Tensor]:
    held = chosen_checkpoint(folder / "averaged", str(step))
    assert held is not None
    return held.tensors["averaged"]


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("stop", [3, 7])
def test_a_resumed_run_ends_bit_for_bit_alike(tmp_path: Path, recorded: Path, stop: int) -> None:
    experiment = small(recorded, pairing="assigned", pairing_start=1)
    assert pairing_begins(experiment, 198) == 7  # an epoch of 198 chunks in batches of 32
    whole = finish(experiment, tmp_path / "whole")
    steps = advance_policy(open_policy_run(experiment, tmp_path / "halved"), checkpoint_every=100)
    for done in steps:
        if done.step == stop:
            steps.close()
            break
    assert_same(finish(experiment, tmp_path / "halved", resume=True), whole)
    assert kept_policies(tmp_path / "whole") == list(range(3, 13))  # the last 10


def test_pairings_share_weights_rows_and_times(tmp_path: Path, recorded: Path) -> None:
    one, other = small(recorded), small(recorded, pairing="assigned")
    first = open_policy_run(one, tmp_path / "one")
    second = open_policy_run(other, tmp_path / "other")
    for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(a, b)
    for step in (0, 9):
        mine = chunk_batch(one, first.chunks, step)
        theirs = chunk_batch(other, second.chunks, step)
        assert torch.equal(mine.rows, theirs.rows) and torch.equal(mine.time, theirs.time)
        # And the same Gaussian draw, which the assignment only permutes.
        noise = Independent()(mine.clean, generator=generator_for(0, "noise", step))
        assigned = second.pairing(theirs.clean, generator=generator_for(0, "noise", step))
        assert torch.equal(noise.flatten().sort().values, assigned.flatten().sort().values)


def test_before_pairing_starts_training_is_vanilla(tmp_path: Path, recorded: Path) -> None:
    late = small(recorded, pairing="assigned", pairing_start=1)
    finish(late, tmp_path / "late")
    finish(small(recorded, pairing="independent"), tmp_path / "vanilla")
    weights = {
        name: {step: averaged(tmp_path / name, step) for step in (pairing_begins(late, 198), 12)}
        for name in ("late", "vanilla")
    }
    assert_same(weights["late"][7], weights["vanilla"][7])
    assert any(
        not torch.equal(value, weights["vanilla"][12][key]) for key, value in weights["late"][12].items()
    )


def test_learning_lowers_the_loss_and_the_rate_falls_as_published(recorded: Path) -> None:
    experiment = small(recorded, steps=104)
    rates = [learning_rate_at(experiment, step) for step in range(104)]
    assert rates[0] == pytest.approx(0.25e-3) and max(rates) == rates[3] == rates[4] == pytest.approx(1e-3)
    assert rates[54] == pytest.approx(0.5e-3) and rates[-1] < 1e-6


def test_a_loaded_policy_acts_in_pixels(tmp_path: Path, recorded: Path) -> None:
    finish(small(recorded, objective=FlowMatching()), tmp_path / "run")
    policy = load_policy(tmp_path / "run", 12)
    seen = torch.full((3, 2, 5), 200.0)
    actions = policy.act(seen, torch.randn(3, 16, 2), 4)
    assert actions.shape == (3, 8, 2) and actions.dtype == torch.float64
    limits = policy.action_limits
    assert (actions >= limits.low - 60).all() and (actions <= limits.high + 60).all()
    with pytest.raises(FileNotFoundError, match="has none of step 999"):
        load_policy(tmp_path / "run", 999)
    (tmp_path / "run" / "data.json").write_text("{")
    with pytest.raises(ValueError, match=r"data.json cannot be read: .*put it back as the run wrote it"):
        load_policy(tmp_path / "run", 12)


def test_runs_refuse_what_does_not_belong_together(tmp_path: Path, recorded: Path) -> None:
    experiment = small(recorded, steps=2)
    finish(experiment, tmp_path / "run")
    with pytest.raises(FileExistsError, match=r"already holds a run; add --resume"):
        open_policy_run(experiment, tmp_path / "run")
    with pytest.raises(ValueError, match=r"began with other settings .*pairing 'nearest:2' → 'assigned'"):
        open_policy_run(small(recorded, steps=2, pairing="assigned"), tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match=r"began with 2 steps, by which its learning rate falls to 0, got 9"):
        open_policy_run(small(recorded, steps=9), tmp_path / "run", resume=True)
    described = json.loads((tmp_path / "run" / "data.json").read_text())
    (tmp_path / "run" / "data.json").write_text(json.dumps({**described, "fingerprint": "other"}))
    with pytest.raises(ValueError, match=r"is not what run .* began with: fingerprint"):
        open_policy_run(experiment, tmp_path / "run", resume=True)
    with pytest.raises(FileNotFoundError, match=r"no policy's run folder; give one that `immiscible train"):
        kept_policies(tmp_path)


@pytest.mark.parametrize(("name", "level"), [("assigned:above", None), ("assigned:above0.3", 0.3)])
def test_a_policy_pairs_above_a_level_of_its_actions(recorded: Path, name: str, level: float | None) -> None:
    chunks = conditional_chunks()
    pairing = policy_pairing(small(recorded, pairing=name, pairing_cluster=8), chunks)
    assert isinstance(pairing, Above) and isinstance(pairing.pairing, WithinSimilar)
    assert pairing.level == (told_apart(chunks.action) if level is None else level)


def test_experiments_round_trip_and_tell_their_kind(tmp_path: Path) -> None:
    experiment = small(tmp_path, pairing="nearest:2:uncentred", pairing_cluster=8)
    text = to_json(experiment)
    assert policy_from_json(text) == experiment
    assert not is_policy_run(tmp_path)
    (tmp_path / "config.json").write_text(text)
    assert is_policy_run(tmp_path)
    with pytest.raises(ValueError, match="the run trains a policy, and this command is for images"):
        from_json(text)
    with pytest.raises(ValueError, match="the run trains no policy"):
        policy_from_json("{}")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"observations": "pixels"}, "unknown observations 'pixels'"),
        ({"horizon": 8}, "horizon must hold observation_steps − 1 \\+ action_steps = 9, got 8"),
        ({"observation_steps": 0}, "observation_steps and action_steps must be 1 or more"),
        ({"pairing_start": -1}, "pairing_start must be 0 epochs or more, got -1"),
        ({"pairing_cluster": 1}, "pairing_cluster must be 0 \\(whole batch\\) or 2 rows or more, got 1"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"pairing": "nearst"}, "did you mean 'nearest'"),
        ({"pairing": "semidiscrete"}, "pairing 'semidiscrete' is fitted to images, not actions; choose"),
        ({"pairing": "nearest:2:whitened"}, "is fitted to images, not actions"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        small(tmp_path, **setting)


def test_standardising_chooses_at_mean_0_and_std_1() -> None:
    clean = torch.randn(64, 4, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.01, 3.0]) + 5
    noise = Standardised(Assigned())(clean, generator=torch.Generator().manual_seed(1))
    scaled = (clean - clean.mean(0)) / clean.std(0, correction=0)
    wanted = Assigned()(scaled, generator=torch.Generator().manual_seed(1))
    assert torch.equal(noise, wanted)
    assert not torch.equal(noise, Assigned()(clean, generator=torch.Generator().manual_seed(1)))
    # Assignment does not see a shift, nearest noise does.
    noise = Standardised(Nearest(k=2))(clean, generator=torch.Generator().manual_seed(1))
    assert torch.equal(noise, Nearest(k=2)(scaled, generator=torch.Generator().manual_seed(1)))
    constant = torch.ones(8, 3)
    assert torch.isfinite(Standardised(Nearest(k=2))(constant)).all()


def test_similar_rows_are_groups_that_belong_together() -> None:
    generator = torch.Generator().manual_seed(0)
    kinds = torch.arange(4).repeat(8)[torch.randperm(32, generator=generator)]
    condition = torch.randn(4, 2, 5, generator=generator)[kinds] * 10 + torch.randn(32, 2, 5) * 0.01
    groups = similar_rows(condition, 8)
    assert sorted(torch.cat(groups).tolist()) == list(range(32))
    assert [len(set(kinds[group].tolist())) for group in groups] == [1, 1, 1, 1]
    assert sum(map(len, similar_rows(condition[:1], 8))) == 1
    assert len(similar_rows(torch.zeros(20, 3), 8)) == 4  # rows without any difference are halved too


def test_within_similar_pairs_every_group_by_itself() -> None:
    clean, condition = torch.randn(40, 6), torch.randn(40, 3)
    pairing = WithinSimilar(Assigned(), 10)
    noise = pairing(clean, generator=torch.Generator().manual_seed(3), condition=condition)
    generator = torch.Generator().manual_seed(3)
    for rows in similar_rows(condition, 10):
        assert torch.equal(noise[rows], Assigned()(clean[rows], generator=generator))
    with pytest.raises(ValueError, match="pairs by condition and got none"):
        pairing(clean)


def conditional_chunks() -> Chunks:
    """Actions that the observation all but decides."""
    generator = torch.Generator().manual_seed(0)
    seen = torch.randn(4096, 2, 3, generator=generator)
    action = (seen.flatten(1) @ torch.randn(6, 8, generator=generator) * 0.3).view(-1, 4, 2)
    limits = small_limits()
    return Chunks("made", action, seen, limits, limits, "made")


def small_limits() -> "object":
    from immiscible_diffusion.policy.normalisation import limits_of

    return limits_of(np.array([[0.0, 0.0], [1.0, 1.0]]))


def test_noise_that_tells_the_observation_is_found(tmp_path: Path) -> None:
    chunks = conditional_chunks()
    experiment = small(tmp_path, batch_size=256)
    skews = {
        name: noise_skew(experiment, chunks, pairing)
        for name, pairing in {
            "independent": Independent(),
            "nearest": pairing_from_name("nearest:8:uncentred"),
            "assigned": Assigned(),
            "within": WithinSimilar(Assigned(), 8),
        }.items()
    }
    assert abs(skews["independent"]) < 0.02
    assert skews["assigned"] > 0.2 and skews["nearest"] > 0.05
    assert skews["within"] < skews["assigned"] / 2


def test_the_pairing_of_an_experiment(recorded: Path) -> None:
    experiment = small(recorded, pairing_standardise=True, pairing_cluster=16)
    chunks = load_chunks(str(recorded), "state", horizon=16, observation_steps=2, action_steps=8)
    pairing = policy_pairing(experiment, chunks)
    assert isinstance(pairing, WithinSimilar) and isinstance(pairing.pairing, Standardised)
    inner = pairing.pairing.pairing
    assert isinstance(inner, Nearest) and torch.equal(torch.as_tensor(inner.centre), chunks.action.mean(0))
