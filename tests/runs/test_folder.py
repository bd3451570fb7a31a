"""Run folders that are damaged, old or changed: named, passed over where safe, never run as code."""

import ast
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.forking import Forks

from immiscible_diffusion.runs.checkpoints import best_step, newest_checkpoint

SOURCE = Path(__file__).resolve().parents[2] / "src"
TRAIN = ["train", "digits-flow", "--batch-size", "32", "--out", "run"]


@pytest.fixture(scope="module")
def trained(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 steps, measured every 2, with the newest two checkpoints and the best."""
    folder = tmp_path_factory.mktemp("trained")
    command = [
        *TRAIN,
        *["--steps", "12", "--checkpoint-every", "4", "--sheet-every", "0", "--evaluate-every", "2"],
    ]
    command += ["--evaluate-at", "2", "--evaluate-count", "70", "--features", "pixels"]
    done = forks.run(*command, folder=folder)
    assert done["code"] == 0, done["stderr"]
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained / "run", tmp_path / "run")
    return tmp_path / "run"


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


class Trap:
    """What a pickle could do when it is read."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("trapped",)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda place: os.truncate(place / "network.safetensors", 1000),
    "flipped": lambda place: flip(place / "averaged.safetensors"),
    "missing": lambda place: (place / "optimizer.safetensors").unlink(),
    "no state": lambda place: (place / "state.json").unlink(),
    "broken state": lambda place: (place / "state.json").write_text('{"format": 1, '),
    "empty state": lambda place: (place / "state.json").write_text("{}"),
    "pickle": lambda place: (place / "network.safetensors").write_bytes(pickle.dumps(Trap())),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_commands_name_a_damaged_checkpoint_and_pass_it_over(forks: Forks, run: Path, kind: str) -> None:
    *_, before, newest = sorted((run / "checkpoints").glob("step-*"))
    step = int(before.name[5:])
    DAMAGE[kind](newest)
    done = forks.run("sample", "run", "--count", "2", "--evaluations", "1", folder=run.parent)
    assert done["code"] == 0 and f"run/samples-step{step}.png" in done["stdout"]
    assert "warning: damaged checkpoint passed over: run/checkpoints/step-00000012: " in done["stderr"]
    done = forks.run("sample", "run", "--checkpoint", "12", folder=run.parent)
    assert done["code"] == 2 and "error: checkpoint '12' is damaged: " in done["stderr"]
    done = forks.run(*TRAIN, "--steps", "12", "--sheet-every", "0", "--resume", folder=run.parent)
    assert done["code"] == 0 and f"Going on from step {step}" in done["stdout"]
    whole = newest_checkpoint(run / "checkpoints")
    assert whole is not None and whole.step == 12 and not (run.parent / "trapped").exists()


def test_the_trap_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Trap()))
    assert (tmp_path / "trapped").exists()


def test_nothing_in_the_package_unpickles_code() -> None:
    """torch.load and np.load are there for files that others made, and refuse all but arrays."""
    found = []
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in ("pickle.load", "pickle.loads", "eval", "exec", "joblib.load"):
                found.append(f"{file.name}: {called}")
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            # Each library's word for "arrays only".
            safe = {"torch.load": ("weights_only", "True"), "np.load": ("allow_pickle", "False")}
            if called in safe and given.get(safe[called][0]) != safe[called][1]:
                found.append(f"{file.name}: {called} {given}")
    assert found == []


def test_best_is_kept_marked_and_chosen(forks: Forks, run: Path) -> None:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    measured = {record["step"]: record["distance"] for record in records if "distance" in record}
    assert sorted(measured) == [2, 4, 6, 8, 10, 12]
    assert all(record["features"] == "pixels(digits)" for record in records if "distance" in record)
    best = min(measured, key=lambda step: measured[step])
    places = sorted(int(path.name[5:]) for path in (run / "checkpoints").glob("step-*"))
    assert best_step(run / "checkpoints") == best and best in places and places[-1] == 12
    for choice, step in (("best", best), ("newest", 12), (str(best), best)):
        arguments = ["--checkpoint", choice, "--count", "2", "--evaluations", "1"]
        done = forks.run("sample", "run", *arguments, folder=run.parent)
        assert f"run/samples-step{step}.png" in done["stdout"], done["stderr"]
    done = forks.run("export", "run", "--checkpoint", "best", folder=run.parent)
    assert f"of step {best} to run/pipeline-step{best}" in done["stdout"]
    arguments = ["--checkpoint", "best", "--count", "70", "--evaluations", "2", "--features", "pixels"]
    done = forks.run("evaluate", "run", *arguments, folder=run.parent)
    assert f"step {best}:" in done["stdout"]
    # The distance that decided is the one that `evaluate` measures.
    result = json.loads((run / "evaluation.json").read_text())
    assert result["step"] == best
    assert result["evaluations"]["2"]["frechet"] == pytest.approx(measured[best], rel=1e-6)


def test_best_outlives_newer_checkpoints(tmp_path: Path) -> None:
    import dataclasses

    from immiscible_diffusion.experiments import named_experiment
    from immiscible_diffusion.runs.images import advance, open_run

    experiment = dataclasses.replace(named_experiment("digits-flow"), steps=20, batch_size=16)
    distances = iter([5.0, 3.0, 4.0, float("nan"), 6.0, 1.0])

    def evaluate(network: Any) -> dict[str, Any]:
        return {"distance": next(distances), "features": "none"}

    def left() -> tuple[list[int], int | None]:
        folder = tmp_path / "run" / "checkpoints"
        return sorted(int(path.name[5:]) for path in folder.glob("step-*")), best_step(folder)

    run = open_run(experiment, tmp_path / "run", log_with="none")
    seen = []
    for done in advance(
        run, evaluate=evaluate, evaluate_every=4, checkpoint_every=5, keep=1, sheet_every=0, log_every=0
    ):
        if done.step % 4 == 0:
            seen.append(left())
    assert seen == [([4], 4), ([8], 8), ([8, 10], 8), ([8, 15], 8), ([8, 20], 8)]
    longer = open_run(
        dataclasses.replace(experiment, steps=21), tmp_path / "run", resume=True, log_with="none"
    )
    list(advance(longer, evaluate=evaluate, evaluate_every=4, keep=1, sheet_every=0))
    assert left() == ([21], 21)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("bset", "unknown checkpoint 'bset'; did you mean 'best'"),
        ("7", "has none of step 7; it has "),
        ("best", "none is marked in run/checkpoints; train with --evaluate-every"),
    ],
)
def test_checkpoints_that_are_not_there_are_explained(
    forks: Forks, run: Path, choice: str, words: str
) -> None:
    (run / "checkpoints" / "best").unlink()
    done = forks.run("sample", "run", "--checkpoint", choice, folder=run.parent)
    assert done["code"] == 2 and words in done["stderr"] and "Traceback" not in done["stderr"]


def change(file: Path, **values: object) -> None:
    content = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: change(run / "config.json", format=2), "format 2, this version reads 1; upgrade"),
        (lambda run: change(run / "config.json", sped=3), "unknown Experiment setting 'sped'"),
        (lambda run: change(run / "config.json", network=None), "Experiment settings lack network"),
        (lambda run: change(run / "config.json", steps="many"), "does not fit this version"),
        (lambda run: (run / "config.json").write_text("{"), "config.json does not fit this version"),
        (lambda run: (run / "config.json").write_text("[]"), "must be a JSON object, got list"),
        (lambda run: (run / "data.json").write_text("{"), "data.json cannot be read"),
        (lambda run: change(run / "data.json", shape=None), "data.json cannot be read: it lacks shape"),
        (lambda run: (run / "data.json").unlink(), "data.json is missing"),
        (
            lambda run: change(run / "data.json", shape=[1, 16, 16]),
            "parameter 'enter.weight' should be [128, 256], is [128, 64]; put these files back",
        ),
        (lambda run: change(run / "config.json", network="unet-tiny"), "should be "),
    ],
)
def test_a_run_folder_that_does_not_fit_is_one_clear_error(
    forks: Forks, run: Path, spoil: Callable[[Path], object], words: str
) -> None:
    spoil(run)
    done = forks.run("sample", "run", folder=run.parent)
    assert done["code"] == 2 and words in done["stderr"], done["stderr"]
    assert "Traceback" not in done["stderr"] and len(done["stderr"].splitlines()) == 2


def test_a_damaged_centre_is_named(forks: Forks, run: Path) -> None:
    (run / "centre.safetensors").write_bytes(b"not tensors")
    done = forks.run(*TRAIN, "--steps", "13", "--resume", folder=run.parent)
    assert done["code"] == 2 and "centre.safetensors is damaged" in done["stderr"]
    (run / "centre.safetensors").unlink()
    done = forks.run(*TRAIN, "--steps", "13", "--resume", "--sheet-every", "0", folder=run.parent)
    assert done["code"] == 0 and (run / "centre.safetensors").exists()
