"""Half precision and compiling: trained, resumed, refused where they cannot work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from tests.small_runs import small, tensors

from immiscible_diffusion.pipelines import export_pipeline
from immiscible_diffusion.runs.images import advance, open_run
from immiscible_diffusion.runs.trained_model import load_trained


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """accelerate fixes the precision of a process when first used; as in a new one."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("fresh_accelerate")
def test_bf16_trains_and_resumes_exactly(tmp_path: Path) -> None:
    experiment = small(precision="bf16", steps=8)
    for _ in advance(open_run(experiment, tmp_path / "whole", log_with="none"), sheet_every=0):
        pass
    steps = advance(open_run(experiment, tmp_path / "halved", log_with="none"), sheet_every=0)
    for done in steps:
        if done.step == 3:
            break
    steps.close()
    for _ in advance(open_run(experiment, tmp_path / "halved", resume=True, log_with="none"), sheet_every=0):
        pass
    whole, halved = tensors(tmp_path / "whole"), tensors(tmp_path / "halved")
    assert all(torch.equal(whole[key], halved[key]) for key in whole)
    AcceleratorState._reset_state(reset_partial_state=True)
    for _ in advance(open_run(small(steps=8), tmp_path / "float32", log_with="none"), sheet_every=0):
        pass
    plain = tensors(tmp_path / "float32")  # close, but not the same: autocast was on
    key = "network.enter.weight"
    assert plain[key].dtype == whole[key].dtype == torch.float32 and not torch.equal(plain[key], whole[key])
    torch.testing.assert_close(plain[key], whole[key], atol=1e-3, rtol=0.1)


@pytest.mark.usefixtures("fresh_accelerate")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: fp16 is trained in, below")
def test_fp16_on_a_cpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="precision 'fp16' needs a GPU, and this run is on cpu; choose"):
        open_run(small(precision="fp16"), tmp_path / "run", log_with="none")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("fresh_accelerate")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: fp16 runs on one only")
def test_fp16_on_a_gpu_trains_and_resumes(tmp_path: Path) -> None:
    experiment = small(precision="fp16", steps=30)
    steps = advance(open_run(experiment, tmp_path / "run", log_with="none"), sheet_every=0)
    for done in steps:
        if done.step == 15:
            break
    steps.close()
    run = open_run(experiment, tmp_path / "run", resume=True, log_with="none")
    assert run.accelerator.scaler.get_scale() <= 65536
    assert list(advance(run, sheet_every=0))[-1].step == 30


def test_compiled_training_leaves_checkpoints_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the backend that compiles nothing, so that it takes no compiler and no time."""
    compiled, calls = torch.compile, []

    def cheap(network: torch.nn.Module) -> Any:
        calls.append(network)
        return compiled(network, backend="eager")

    monkeypatch.setattr(torch, "compile", cheap)
    experiment = small(steps=6)
    for folder, on in (("plain", False), ("compiled", True)):
        run = open_run(experiment, tmp_path / folder, log_with="none")
        for _ in advance(run, compile=on, sheet_every=3):
            pass
    assert len(calls) == 1
    plain, other = tensors(tmp_path / "plain"), tensors(tmp_path / "compiled")
    assert plain.keys() == other.keys() and not any("_orig_mod" in key for key in other)
    for key in plain:
        torch.testing.assert_close(plain[key], other[key])
    model = load_trained(tmp_path / "compiled")
    out = tmp_path / "pipeline"
    assert export_pipeline(
        model.experiment, model.network, model.shape, model.step, tmp_path / "compiled", out
    )
    # Uncompiled goes on from compiled.
    for _ in advance(
        open_run(small(steps=8), tmp_path / "compiled", resume=True, log_with="none"), sheet_every=0
    ):
        pass
