"""Uploading to the hub, with the hub's side stubbed: there is no network in tests."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from immiscible_diffusion import hub
from immiscible_diffusion.cli import main
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.runs.images import advance, open_run


class Stub:
    """What of HfApi the upload uses: it writes down what it is asked."""

    made: list[tuple[str, bool]]
    uploaded: dict[str, list[str]]
    fails = False

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> str:
        assert exist_ok
        if self.fails:
            raise OSError("403 Forbidden")
        self.made.append((name, private))
        return f"https://huggingface.co/{name}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        files = [path for path in Path(folder_path).rglob("*") if path.is_file()]
        self.uploaded[repo_id] = sorted(str(path.relative_to(folder_path)) for path in files)
        self.message, self.card = commit_message, (Path(folder_path) / "README.md").read_text()


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    made = Stub()
    made.made, made.uploaded = [], {}
    monkeypatch.setattr(hub, "HfApi", lambda: made)
    monkeypatch.setattr(hub, "get_token", lambda: "hf_a_token")
    return made


@pytest.fixture
def run(tmp_path: Path) -> Path:
    experiment = dataclasses.replace(named_experiment("digits-flow"), steps=2, batch_size=8)
    for _ in advance(open_run(experiment, tmp_path / "run", log_with="none"), sheet_every=0):
        pass
    return tmp_path / "run"


def export(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["immiscible", "export", *arguments])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_the_pipeline_goes_up_with_a_card_that_loads_it_from_there(
    stub: Stub, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(monkeypatch, str(run), "--push-to-hub", "ada/digits-flow", "--private") == 0
    said = capsys.readouterr().out
    assert "Uploaded to https://huggingface.co/ada/digits-flow" in said
    assert stub.made == [("ada/digits-flow", True)] and list(stub.uploaded) == ["ada/digits-flow"]
    there = run / "pipeline-step2"
    assert stub.uploaded["ada/digits-flow"] == sorted(
        str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()
    )
    assert {"README.md", "model_index.json"} < set(stub.uploaded["ada/digits-flow"])
    assert 'from_pretrained("ada/digits-flow")' in stub.card and "step 2" in stub.message


@pytest.mark.parametrize(
    ("name", "token", "words"),
    [
        ("digits", "t", "push_to_hub 'digits' is no repository name (it names no owner); give OWNER/NAME"),
        ("ada/digits flow", "t", "is no repository name"),
        ("a/b/c", "t", "is no repository name"),
        (
            "ada/digits",
            None,
            "needs a token of the hub, and there is none; run `hf auth login` or set",
        ),
    ],
)
def test_what_an_upload_lacks_is_said_before_anything_is_written(
    stub: Stub,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    token: Any,
    words: str,
) -> None:
    monkeypatch.setattr(hub, "get_token", lambda: token)
    assert export(monkeypatch, str(run), "--push-to-hub", name) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said
    assert not (run / "pipeline-step2").exists() and not stub.made


def test_a_refused_upload_leaves_the_folder_and_says_how_to_go_on(
    stub: Stub, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.fails = True
    assert export(monkeypatch, str(run), "--push-to-hub", "ada/digits") == 2
    said = capsys.readouterr().err
    assert "403 Forbidden" in said and f"`hf upload ada/digits {run / 'pipeline-step2'}`" in said
    assert (run / "pipeline-step2" / "README.md").exists()
