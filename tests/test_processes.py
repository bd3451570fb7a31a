"""Several real processes train as one: the same steps, one that fails ends all, and nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from tests.forking import Forks
from tests.runs.test_kills import outcome
from tests.small_runs import small, tensors

from immiscible_diffusion.data.images import load_images
from immiscible_diffusion.networks import build_network
from immiscible_diffusion.pairing import Pairing, pairing_from_name
from immiscible_diffusion.runs.checkpoints import newest_checkpoint
from immiscible_diffusion.training import training_steps

if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("torch without gloo", allow_module_level=True)

SOON = 30.0  # seconds within which a run must have ended that lost a process
COMMON = ["--batch-size", "32", "--out", "run", "--log-every", "1", "--sheet-every", "0"]
GONE = "another process of the run is gone"


def losses(run: Path) -> list[float]:
    return [record["loss"] for record in outcome(run)["metrics"]]


def trained(forks: Forks, folder: Path, *arguments: str, **request: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    done = forks.run("train", *arguments, *COMMON, folder=folder, **request)
    assert done.get("codes", [done.get("code")]) in ([0], [0, 0]), done
    return done


@pytest.mark.parametrize(
    ("name", "pairing"),
    [
        ("digits-flow", "independent"),
        ("digits-ddim", "nearest:8"),
        ("digits-edm", "nearest:4:batch"),
        ("digits-consistency", "assigned"),
    ],
)
def test_two_processes_have_the_loss_curve_of_one(
    forks: Forks, tmp_path: Path, name: str, pairing: str
) -> None:
    arguments = [name, "--pairing", pairing, "--steps", "20", "--class-conditional", "True"]
    trained(forks, tmp_path / "one", *arguments)
    trained(forks, tmp_path / "two", *arguments, processes=2)
    assert losses(tmp_path / "two" / "run") == pytest.approx(losses(tmp_path / "one" / "run"), rel=2e-4)
    alone, together = tensors(tmp_path / "one" / "run"), tensors(tmp_path / "two" / "run")
    weights = [key for key in alone if key.startswith("network.")]
    for key in weights:
        torch.testing.assert_close(together[key], alone[key], rtol=0.0, atol=2e-3, msg=key)
    if pairing == "assigned":  # each on its own rows is another assignment
        trained(forks, tmp_path / "own", *arguments, "--paired-over", "process", processes=2)
        assert losses(tmp_path / "own" / "run") != pytest.approx(losses(tmp_path / "one" / "run"), rel=2e-3)
        assert json.loads((tmp_path / "own" / "run" / "config.json").read_text())["paired_over"] == "process"


def noises_of_ranks(
    monkeypatch: pytest.MonkeyPatch, pairing: Pairing, processes: int, paired_over: str
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """What the network's loss is given of one step, by rank: images and noises."""
    experiment = small(paired_over=paired_over)
    given: list[tuple[torch.Tensor, torch.Tensor]] = []
    loss = type(experiment.objective).loss

    def spied(self: Any, network: Any, clean: torch.Tensor, noise: torch.Tensor, *rest: Any) -> torch.Tensor:
        given.append((clean, noise))
        return loss(self, network, clean, noise, *rest)

    monkeypatch.setattr(type(experiment.objective), "loss", spied)
    monkeypatch.setattr(Accelerator, "num_processes", processes)
    monkeypatch.setattr(Accelerator, "reduce", lambda self, tensor, how: tensor)
    for rank in range(processes):
        monkeypatch.setattr(Accelerator, "process_index", rank)
        network = build_network("mlp", (1, 8, 8))
        optimizer = torch.optim.AdamW(network.parameters())
        accelerator = Accelerator(cpu=True)
        next(training_steps(experiment, load_images("digits"), pairing, network, optimizer, accelerator))
    monkeypatch.undo()
    return given


@pytest.mark.parametrize("name", ["independent", "nearest:4:uncentred", "assigned"])
def test_every_rank_has_noise_of_its_own(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pairing = pairing_from_name(name)
    ((_, whole),) = noises_of_ranks(monkeypatch, pairing, 1, "batch")
    shared = [noise for _, noise in noises_of_ranks(monkeypatch, pairing, 2, "batch")]
    assert torch.equal(torch.stack(shared, 1).flatten(0, 1), whole)
    own = [noise for _, noise in noises_of_ranks(monkeypatch, pairing, 2, "process")]
    for noises in (shared, own):
        assert len(torch.cat(noises).flatten(1).unique(dim=0)) == len(whole)
    assert not torch.equal(torch.stack(own, 1).flatten(0, 1), whole)


EXACT = ["digits-flow", "--pairing", "assigned", "--steps", "40", "--checkpoint-every", "5", "--resume"]
EVALUATE = ["--evaluate-every", "8", "--evaluate-at", "2", "--evaluate-count", "70", "--features", "pixels"]


def test_two_processes_killed_again_and_again_end_bit_for_bit_alike(forks: Forks, tmp_path: Path) -> None:
    command = [*EXACT, *EVALUATE]
    # A file that the second process began to write would kill it.
    trained(forks, tmp_path / "whole", *command, processes=2, of=1, events=0)
    expected = outcome(tmp_path / "whole" / "run")
    assert "checkpoints/best" in expected and len(expected["metrics"]) == 40 + 5
    folder = tmp_path / "killed"
    folder.mkdir()
    faults: list[tuple[int, dict[str, Any]]] = [
        (1, {"signals": [["run/checkpoints/step-00000005", signal.SIGKILL, 0.02]]}),
        (0, {"signals": [["run/checkpoints/step-00000015", signal.SIGKILL, 0.01]]}),
        (0, {"events": 45}),
        (1, {"signals": [["run/checkpoints/step-00000030", signal.SIGKILL, 0.0]]}),
    ]
    for of, fault in faults:
        began = time.monotonic()
        done = forks.run("train", *command, *COMMON, folder=folder, processes=2, of=of, **fault)
        assert time.monotonic() - began < SOON
        assert done["codes"][of] == -signal.SIGKILL and done["codes"][1 - of] == 2, done
        assert "Traceback" not in done["stderrs"][1 - of]
        assert f"error: process {1 - of} of 2: {GONE}" in done["stderrs"][1 - of]
    done = forks.run("train", *command, *COMMON, folder=folder, processes=2)
    assert done["codes"] == [0, 0] and "warning" not in done["stderrs"][0], done
    assert outcome(folder / "run") == expected


def test_a_signal_to_one_process_stops_all_at_the_same_step(forks: Forks, tmp_path: Path) -> None:
    command = ["train", *EXACT, *COMMON, "--steps", "3000", "--checkpoint-every", "0"]
    signals = [["run/metrics.jsonl", signal.SIGTERM, 0.1]]
    done = forks.run(*command, folder=tmp_path, processes=2, of=1, signals=signals)
    assert done["codes"] == [130, 130], done
    stopped = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert stopped is not None and 0 < stopped.step < 3000
    assert len(losses(tmp_path / "run")) == stopped.step
    # On with one process: allowed, said, and the same batches.
    done = forks.run(*command, "--steps", str(stopped.step + 2), folder=tmp_path)
    assert done["code"] == 0 and "had 2 process(es)" in done["stderr"], done
    (tmp_path / "one").mkdir()
    assert forks.run(*command, "--steps", str(stopped.step + 2), folder=tmp_path / "one")["code"] == 0
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "one" / "run"), rel=2e-2)


def test_a_full_disk_ends_both_with_one_error_each(forks: Forks, tmp_path: Path) -> None:
    command = ["train", *EXACT, *COMMON]
    done = forks.run(*command, folder=tmp_path, processes=2, file_bytes=200_000)
    assert done["codes"] == [2, 2], done
    assert "error: process 0 of 2: run 'run' cannot be written" in done["stderrs"][0]
    assert GONE in done["stderrs"][1] and "Traceback" not in "".join(done["stderrs"])
    assert forks.run(*command, folder=tmp_path, processes=2)["codes"] == [0, 0]


def test_what_only_one_process_sees_is_an_error_of_all(forks: Forks, tmp_path: Path) -> None:
    from PIL import Image

    for home, count in (("all", 40), ("fewer", 39), ("bad", 40)):
        (tmp_path / home / "images").mkdir(parents=True)
        for number in range(count):
            Image.new("L", (8, 8), number).save(tmp_path / home / "images" / f"{number:02}.png")
    (tmp_path / "bad" / "images" / "07.png").write_bytes(b"no image")
    command = ["train", "digits-flow", "--data", "~/images", *COMMON, "--batch-size", "8", "--steps", "2"]

    def ends(home: str) -> list[str]:
        homes = {"variables": {"HOME": str(tmp_path / "all")}, "only": {"HOME": str(tmp_path / home)}}
        done = forks.run(*command, folder=tmp_path, processes=2, of=1, **homes)
        assert done["codes"] == [2, 2] and "Traceback" not in "".join(done["stderrs"]), done
        return [" ".join(said.split()) for said in done["stderrs"]]

    first, second = ends("bad")
    assert "07.png" in second and "process 1 of 2 gave up" in first and "07.png" in first
    first, second = ends("fewer")
    assert "data is " in first and "in process 0 and" in first and "--out on a disk that they share" in second


def test_batches_that_do_not_divide_are_refused(forks: Forks, tmp_path: Path) -> None:
    done = forks.run("train", "digits-flow", *COMMON, "--batch-size", "33", folder=tmp_path, processes=2)
    assert done["codes"] == [2, 2] and "batch_size 33 must divide by 2 processes" in done["stderrs"][0]


LAUNCHED = {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("variables", "arguments", "words"),
    [
        (LAUNCHED, [], "asked for several processes and started one"),
        ({}, ["--processes", "2"], "2 processes were asked for and this run has 1; launch it as torchrun "),
        ({}, ["--processes", "0"], "processes must be 1 or more, got 0"),
        ({"ACCELERATE_USE_FSDP": "true"}, [], "launched with FSDP, which cuts the weights up"),
    ],
)
def test_another_number_of_processes_than_asked_for_is_refused(
    forks: Forks, tmp_path: Path, variables: dict[str, str], arguments: list[str], words: str
) -> None:
    done = forks.run("train", "digits-flow", *COMMON, *arguments, folder=tmp_path, variables=variables)
    assert done["code"] == 2 and words in done["stderr"] and "Traceback" not in done["stderr"], done
    assert not (tmp_path / "run").exists()
    if "ACCELERATE_USE_FSDP" in variables:
        return
    arguments = ["--processes", "1", "--steps", "1"]
    assert (
        forks.run("train", "digits-flow", *COMMON, *arguments, folder=tmp_path, variables=variables)["code"]
        == 0
    )


def started(*command: str, folder: Path, **variables: str) -> "subprocess.Popen[str]":
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("MASTER_ADDR", "WORLD_SIZE")
    }
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**inherited, "OMP_NUM_THREADS": "1", **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


TRAIN = ["-m", "immiscible_diffusion.cli", "train", "digits-flow", *COMMON]


def test_accelerate_launch_without_gpus_is_refused(tmp_path: Path) -> None:
    if torch.accelerator.is_available():
        pytest.skip("with a GPU this launch line starts two processes")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    done = started(*launch, *TRAIN, folder=tmp_path)
    said = done.communicate(timeout=120)[0]
    assert done.returncode != 0
    assert "error: `accelerate launch` was asked for several processes and started one" in said
    assert "torchrun --nproc_per_node N -m immiscible_diffusion.cli train" in said
    assert not (tmp_path / "run").exists()


def test_two_nodes_by_torchrun_and_one_loses_its_process(forks: Forks, tmp_path: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"]
    launch += ["--rdzv_backend", "c10d", "--rdzv_id", "test", "--rdzv_endpoint", f"127.0.0.1:{port}"]
    nodes = [
        started(*launch, *TRAIN, "--steps", "100000", "--checkpoint-every", "20", folder=tmp_path)
        for _ in range(2)
    ]
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("run/checkpoints/step-*")):
        assert time.monotonic() < deadline and all(node.poll() is None for node in nodes)
        time.sleep(0.05)
    killed = time.monotonic()
    os.kill(worker_of(nodes[1].pid), signal.SIGKILL)
    said = [node.communicate(timeout=SOON * 2)[0] for node in nodes]
    assert all(node.returncode != 0 for node in nodes), said
    assert time.monotonic() - killed < SOON * 2
    assert GONE in "".join(said) and "Signal 9 (SIGKILL)" in "".join(said)
    left = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert left is not None
    steps = ["--steps", str(left.step + 3), "--resume"]
    trained(forks, tmp_path, "digits-flow", *steps, processes=2)
    trained(forks, tmp_path / "whole", "digits-flow", *steps, processes=2)
    ours, whole = tensors(tmp_path / "run"), tensors(tmp_path / "whole" / "run")
    assert all(torch.equal(ours[name], whole[name]) for name in whole)


def worker_of(agent: int) -> int:
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    return int(children[0])
