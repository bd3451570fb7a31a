"""Real processes are killed, starved of disk and signalled; what they leave is whole and goes on exactly."""

import json
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.forking import Forks

from immiscible_diffusion.atomic_files import ASIDE
from immiscible_diffusion.runs.checkpoints import newest_checkpoint

TIMES = {"images_per_second", "pairing_share", "seconds"}  # what no two runs share
TRAIN = ["train", "digits-flow", "--batch-size", "32", "--pairing", "nearest:4", "--out", "run", "--resume"]
STEPS = ["--steps", "30", "--checkpoint-every", "3", "--sheet-every", "10", "--log-every", "1", "--keep", "2"]
EVALUATE = ["--evaluate-every", "4", "--evaluate-at", "2", "--evaluate-count", "70", "--features", "pixels"]


def outcome(run: Path) -> dict[str, Any]:
    """Everything that a run leaves but times and TensorBoard's files, which hold times."""
    files = [path for path in run.rglob("*") if path.is_file() and "tensorboard" not in path.parts]
    left: dict[str, Any] = {str(path.relative_to(run)): path.read_bytes() for path in files}
    lines = left.pop("metrics.jsonl").decode().splitlines()
    left["metrics"] = [
        {name: value for name, value in json.loads(line).items() if name not in TIMES} for line in lines
    ]
    for name in [name for name in left if name.endswith("state.json")]:
        state = json.loads(left[name])
        del state["state"]["seconds"]
        left[name] = state
    return left


def test_a_run_killed_again_and_again_ends_bit_for_bit_alike(forks: Forks, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    command = [*TRAIN, *STEPS, *EVALUATE]
    done = forks.run(*command, folder=tmp_path / "whole")
    assert done["code"] == 0, done["stderr"]
    expected = outcome(tmp_path / "whole" / "run")
    assert "samples/step-00000030.png" in expected and "checkpoints/best" in expected
    assert len(expected["metrics"]) == 30 + 8 and not any(ASIDE in name for name in expected)

    draw, kills, torn, attempts, finished = random.Random(0), 0, 0, 0, 0
    done = {"code": 1}
    while done["code"] or kills < 24:
        folder = tmp_path / f"killed-{finished}"
        folder.mkdir(exist_ok=True)
        how = {"after": draw.uniform(0.0, 1.5)} if attempts % 3 == 0 else {"events": draw.randrange(1, 120)}
        done = forks.run(*command, folder=folder, **(how if kills < 24 else {}))
        attempts += 1
        assert done["code"] in (0, -signal.SIGKILL), done["stderr"]
        kills += done["code"] != 0
        torn += any((folder / "run").rglob(f"{ASIDE}*"))
        if done["code"] == 0:
            assert outcome(folder / "run") == expected
            finished += 1
        assert attempts < 200
    print(f"{kills} kills, {torn} of them in the middle of a write, {finished} runs finished alike")
    assert torn >= 3


SHORT = ["--checkpoint-every", "3", "--sheet-every", "6", "--log-every", "1"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("again", [False, True])
def test_a_stopped_run_saves_and_goes_on_exactly(
    forks: Forks, tmp_path: Path, number: signal.Signals, again: bool
) -> None:
    """again: a second signal while the first one's checkpoint is being written."""
    command = [*TRAIN, "--steps", "2000", "--sheet-every", "0", "--log-every", "1", "--checkpoint-every", "0"]
    signals = [["run/metrics.jsonl", number, 0.05]]
    signals += [[f"run/checkpoints/{ASIDE}step-*", number, 0.0]] if again else []
    done = forks.run(*command, folder=tmp_path, signals=signals)
    assert (
        done["code"] == 130
        and "Stopped: the last whole checkpoint is run/checkpoints/step-" in done["stdout"]
    )
    assert "give the same command with --resume" in done["stdout"] and "Traceback" not in done["stderr"]
    assert done["reached"] == len(signals)
    stopped = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert stopped is not None and 0 < stopped.step < 2000
    logged = outcome(tmp_path / "run")["metrics"]
    assert [record["step"] for record in logged] == list(range(1, stopped.step + 1))
    assert not list((tmp_path / "run").rglob(f"{ASIDE}*"))

    steps = ["--steps", str(stopped.step + 5)]
    assert forks.run(*command, *steps, folder=tmp_path)["code"] == 0
    (tmp_path / "whole").mkdir()
    assert forks.run(*command, *steps, folder=tmp_path / "whole")["code"] == 0
    stepwise = {f"checkpoints/step-{stopped.step:08d}/{name}" for name in CHECKPOINT_FILES}
    resumed = {name: held for name, held in outcome(tmp_path / "run").items() if name not in stepwise}
    assert resumed == outcome(tmp_path / "whole" / "run")


CHECKPOINT_FILES = ["network.safetensors", "averaged.safetensors", "optimizer.safetensors", "state.json"]


@pytest.fixture(params=["limit", "full", "read-only"])
def starved(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any], Any]]:
    """A folder, what a run in it is to be given, and how to take its disk away and give it back."""
    if request.param == "limit":  # a write error that every system can make
        yield tmp_path, {"file_bytes": 200_000}, lambda present: None
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], capture_output=True)
    if made.returncode:
        pytest.skip("no right to mount a small file system")

    def take(present: bool) -> None:
        used = int(subprocess.run(["du", "-sk", disk], capture_output=True, text=True).stdout.split()[0])
        # Room for half a checkpoint more.
        starved = f"size={used + 700}k" if request.param == "full" else "ro"
        options = "remount,rw,size=64m" if present else f"remount,{starved}"
        subprocess.run(["mount", "-o", options, disk], check=True)

    yield disk, {}, take
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_fails_stops_the_run_with_the_last_state_whole(
    forks: Forks, tmp_path: Path, starved: tuple[Path, dict[str, Any], Any]
) -> None:
    folder, limits, disk = starved
    assert forks.run(*TRAIN, *SHORT, "--steps", "6", folder=folder)["code"] == 0
    before = outcome(folder / "run")
    disk(False)
    done = forks.run(*TRAIN, *SHORT, "--steps", "12", folder=folder, **limits)
    assert done["code"] == 2, done
    errors = [line for line in done["stderr"].splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in done["stderr"], done["stderr"]
    assert "cannot be written" in errors[0] and "make room or give permission there" in errors[0]
    after = outcome(folder / "run")
    for name, held in before.items():
        if name.startswith("checkpoints/step-00000006"):
            assert after[name] == held
    assert not any(ASIDE in name for name in after)
    disk(True)
    assert forks.run(*TRAIN, *SHORT, "--steps", "12", folder=folder)["code"] == 0
    (tmp_path / "whole").mkdir()
    assert forks.run(*TRAIN, *SHORT, "--steps", "12", folder=tmp_path / "whole")["code"] == 0
    assert outcome(folder / "run") == outcome(tmp_path / "whole" / "run")


def test_a_folder_that_cannot_be_is_said_before_any_work(forks: Forks, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = forks.run(*TRAIN, "--out", "file/run", folder=tmp_path)
    assert done["code"] == 2 and "Traceback" not in done["stderr"]
    assert "error: run folder 'file/run' cannot be written: " in done["stderr"]
