"""`train`, `evaluate` and `compare` where the experiment is a policy."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from immiscible_diffusion.cli import main
from immiscible_diffusion.policy.environment import keypoints, published_starts
from immiscible_diffusion.policy.rollouts import run_episodes
from immiscible_diffusion.policy.scripted import scripted_pusher

pytest.importorskip("gym_pusht")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scripted demonstrations in demonstrations.npz."""
    folder = tmp_path_factory.mktemp("policy")
    episodes = run_episodes(scripted_pusher, published_starts(4), most_steps=30)
    states = np.concatenate([one.states[:-1] for one in episodes])
    np.savez(
        folder / "demonstrations.npz",
        action=np.concatenate([one.actions for one in episodes]),
        state=states,
        keypoint=np.stack([keypoints(state) for state in states]),
        episode_ends=np.cumsum([len(one.actions) for one in episodes]),
    )
    return folder


@dataclass(frozen=True)
class Said:
    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Said]


@pytest.fixture
def immiscible(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in this process: a fresh one would spend most of its time importing."""
    monkeypatch.chdir(place)

    def run(*arguments: str, ok: bool = True) -> Said:
        monkeypatch.setattr(sys, "argv", ["immiscible", *arguments])
        code = 0
        try:
            main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        said = Said(code, *capsys.readouterr())
        assert not ok or code == 0, said
        return said

    return run


SMALL = ("--data", "demonstrations.npz", "--steps", "4", "--batch-size", "16")
QUICK = ("--starts", "2", "--last", "1", "--denoising-steps", "2", "--jobs", "1")


@pytest.mark.parametrize(("pairing", "warned"), [("assigned", True), ("independent", False)])
def test_noise_that_tells_the_observation_is_warned_of(
    pairing: str, warned: bool, tmp_path: Path, immiscible: Command
) -> None:
    data = Path(__file__).resolve().parents[3] / "shared" / "data" / "pusht.npz"
    if not data.exists():
        pytest.skip(f"no {data}")
    command = ("train", "pusht-small", "--data", str(data), "--pairing", pairing, "--steps", "4")
    said = immiscible(*command, "--out", str(tmp_path)).stdout
    assert ("the noise alone tells" in said) == warned
    if warned:
        assert "tells 52% of the observation's variance" in said
        assert "warning" not in immiscible(*command, "--out", str(tmp_path), "--resume").stdout


def test_train_evaluate_and_what_does_not_apply(place: Path, immiscible: Command) -> None:
    said = immiscible("train", "pusht-small", "--pairing", "nearest", "--k", "2", *SMALL).stdout
    run = "runs/pusht-small-nearest-2-seed0"
    assert "92 chunks of 16 actions" in said and f"immiscible evaluate {run}" in said
    assert json.loads((place / run / "config.json").read_text())["kind"] == "policy"

    said = immiscible("evaluate", run, *QUICK, "--mode-starts", "1", "--mode-samples", "2").stdout
    assert "Mean score (greatest coverage / 0.95, at most 1)" in said and "Ways round the block" in said
    found = json.loads((place / run / "evaluation.json").read_text())
    assert len(found["scores"]) == 1 and len(found["scores"][0]) == 2
    assert found["mean_score"] == pytest.approx(np.mean(found["scores"]))
    with Image.open(place / run / "videos" / "nearest-2-start0.gif") as film:
        assert film.size == (256, 256)

    for command, words in (
        (("evaluate", run, "--features", "pixels"), "--features does not apply to a policy; leave it out"),
        (("sample", run), "the run trains a policy, and this command is for images"),
        (("train", "pusht-small", "--flip", "True", *SMALL), "--flip does not apply to pusht-small"),
        (("train", "digits-ddim", "--observations", "state"), "--observations does not apply to digits-ddim"),
        (("compare", "digits-ddim", "--starts", "3"), "--starts does not apply to images"),
        (("train", "pusht"), "give --data the path of Diffusion Policy's"),
    ):
        refused = immiscible(*command, ok=False)
        assert refused.returncode == 2 and words in refused.stderr, refused.stderr


def test_compare_goes_on_where_it_stopped_and_jobs_change_nothing(place: Path, immiscible: Command) -> None:
    command = ("compare", "pusht-small", *SMALL, "--pairings", "independent", "assigned@8", *QUICK[:-1])
    drawn = ("--mode-starts", "0", "--videos", "1")
    said = immiscible(*command, "1", "--seeds", "2", "--out", "one", *drawn).stdout
    assert "Score − independent's" in said or "Score" in said
    table = (place / "one" / "results.md").read_text()
    assert "2 seeds, 2 start states, last 1 checkpoints" in table and "| assigned@8 |" in table
    first = json.loads((place / "one" / "results.json").read_text())
    assert [(one["pairing"], one["seed"]) for one in first["results"]] == [
        ("independent", 0),
        ("assigned@8", 0),
        ("independent", 1),
        ("assigned@8", 1),
    ]
    assert (place / "one" / "videos" / "sheet.png").exists()
    immiscible(*command, "2", "--seeds", "2", "--out", "two", *drawn)
    second = json.loads((place / "two" / "results.json").read_text())
    for one, other in zip(first["results"], second["results"], strict=True):
        assert one["score"] == other["score"] and one["skew"] == other["skew"]
    again = immiscible(*command, "1", "--seeds", "2", "--out", "one", *drawn)
    assert "step 4/4" not in again.stdout  # nothing was trained again
    refused = immiscible("compare", "pusht-small", *SMALL, "--count", "9", ok=False)
    assert "--count does not apply to a policy" in refused.stderr
    config = json.loads((place / "one" / "runs" / "assigned@8-seed1" / "config.json").read_text())
    assert (config["pairing"], config["pairing_cluster"], config["seed"]) == ("assigned", 8, 1)
