"""Checkpoints survive crashes and damage, and never run code."""

import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from immiscible_diffusion.runs.checkpoints import (
    Checkpoint,
    newest_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)


def checkpoint(step: int) -> Checkpoint:
    weights = torch.randn(3, 4, generator=torch.Generator().manual_seed(step))
    return Checkpoint(step, {"network": {"weight": weights}, "empty": {}}, {"seconds": step / 10})


def test_round_trip_keeps_the_newest_two(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    for step in (5, 10, 100):
        save_checkpoint(tmp_path, checkpoint(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010", "step-00000100"]
    loaded = newest_checkpoint(tmp_path)
    assert loaded is not None and loaded.step == 100 and loaded.state == {"seconds": 10.0}
    assert torch.equal(loaded.tensors["network"]["weight"], checkpoint(100).tensors["network"]["weight"])
    assert loaded.tensors["empty"] == {}


@pytest.mark.parametrize("damage", ["flip", "cut", "no state", "half state", "other format"])
def test_a_damaged_newest_one_is_named_and_passed_over(tmp_path: Path, damage: str) -> None:
    save_checkpoint(tmp_path, checkpoint(1))
    newest = save_checkpoint(tmp_path, checkpoint(2))
    file, state = newest / "network.safetensors", newest / "state.json"
    if damage == "flip":
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
    elif damage == "cut":
        os.truncate(file, 40)
    elif damage == "no state":
        state.unlink()
    elif damage == "half state":
        state.write_text(state.read_text()[:30])
    else:
        state.write_text(state.read_text().replace('"format": 1', '"format": 99'))
    with pytest.warns(
        UserWarning, match="damaged checkpoint passed over: .*step-00000002.*using .*step-00000001"
    ):
        loaded = newest_checkpoint(tmp_path)
    assert loaded is not None and loaded.step == 1
    (tmp_path / "step-00000001" / "state.json").unlink()
    with pytest.raises(ValueError, match="every checkpoint is damaged"):
        newest_checkpoint(tmp_path)


def test_a_write_cut_short_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, checkpoint(1))

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("immiscible_diffusion.atomic_files.os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, checkpoint(2))
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = newest_checkpoint(tmp_path)
    assert loaded is not None and loaded.step == 1
    save_checkpoint(tmp_path, checkpoint(2))
    assert not list(tmp_path.glob(".writing*"))


class Hiding(torch.optim.AdamW):
    """Has whole numbers of steps, and tensors one level down, some of them shared, as AdamW8bit does."""

    shared = torch.arange(3.0)

    def state_dict(self) -> dict[str, Any]:
        given = super().state_dict()
        for number, held in given["state"].items():
            hidden = {"exp_avg_sq": held["exp_avg_sq"], "map": self.shared}
            given["state"][number] = {"step": int(held["step"]), "exp_avg": held["exp_avg"], "hidden": hidden}
        return given

    def load_state_dict(self, given: dict[str, Any]) -> None:
        for held in given["state"].values():
            assert torch.equal(held.pop("map"), self.shared) and isinstance(held["step"], int)
            held["step"] = torch.tensor(float(held["step"]))
        super().load_state_dict(given)


@pytest.mark.parametrize("kind", [torch.optim.AdamW, Hiding])
def test_optimizer_state_round_trip(kind: type[torch.optim.AdamW], tmp_path: Path) -> None:
    def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        network = nn.Linear(3, 2)
        return network, kind(network.parameters(), lr=0.1)

    def step(network: nn.Module, optimizer: torch.optim.Optimizer, value: float) -> None:
        network(torch.full((1, 3), value)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    network, optimizer = trained()
    step(network, optimizer, 1.0)
    other, restored = trained()
    other.load_state_dict(network.state_dict())
    save_checkpoint(tmp_path, Checkpoint(1, {"optimizer": optimizer_tensors(optimizer)}, {}))
    saved = newest_checkpoint(tmp_path)
    assert saved is not None
    restore_optimizer(restored, saved.tensors["optimizer"])
    step(network, optimizer, -2.0)
    step(other, restored, -2.0)
    assert torch.equal(network.weight, other.weight)
