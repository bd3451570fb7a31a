"""Where metrics go besides metrics.jsonl."""

from pathlib import Path

import pytest
from tests.small_runs import small

from immiscible_diffusion.runs.images import advance, open_run


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tensorbord", "unknown log_with 'tensorbord'; did you mean 'tensorboard'"),
        (
            "clearml",
            "'clearml' is not installed; pip install clearml, or choose tensorboard or none",
        ),
    ],
)
def test_trackers_that_are_not_there_are_refused_before_work(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        open_run(small(), tmp_path / "run", log_with=name)
    assert not (tmp_path / "run").exists()


def test_tensorboard_forgets_what_a_killed_run_does_again(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    steps = advance(open_run(small(), tmp_path / "run"), log_every=1, checkpoint_every=4, sheet_every=0)
    for done in steps:
        if done.step == 6:
            break
    # As after a SIGKILL: the generator is not closed, so step 6 is logged and not saved.
    for _ in advance(open_run(small(), tmp_path / "run", resume=True), log_every=1, sheet_every=0):
        pass
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), purge_orphaned_data=True)
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 13))


def test_weights_and_biases_offline_keeps_all_in_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    for resume, steps in ((False, 4), (True, 6)):
        run = open_run(small(steps=steps), tmp_path / "run", resume=resume, log_with="wandb")
        for _ in advance(run, log_every=1, sheet_every=0):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    kept = b"".join(file.read_bytes() for file in (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
    assert kept.count(b"gradient_norm") >= 6  # once a step, at least
    assert b"image_std" in kept and b"pairing" in kept
