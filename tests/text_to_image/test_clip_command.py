"""`immiscible evaluate --clip`: the right prompts beside the right images."""

import json
import sys
from pathlib import Path

import pytest
import torch
from tests.text_to_image.small_models import small, write_clip

from immiscible_diffusion.cli import main
from immiscible_diffusion.text_to_image.generation import drawn_prompts, drawn_texts, embed_texts
from immiscible_diffusion.text_to_image.runs import advance_text_to_image, open_text_to_image_run


def test_a_run_is_scored_against_its_prompts(
    images: Path,
    pipeline: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = open_text_to_image_run(small(images, pipeline, steps=2), tmp_path / "run")
    for _ in advance_text_to_image(run):
        pass
    prompts = run.data.prompts
    texts = drawn_texts(prompts, 0, 20)
    assert len(set(texts)) == 3
    assert torch.allclose(embed_texts(prompts.encoder, texts), drawn_prompts(prompts, 0, 20), atol=3e-3)
    clip = write_clip(tmp_path / "clip")
    few = ["--count", "4", "--evaluations", "1", "2", "--features", "pixels"]
    arguments = ["immiscible", "evaluate", str(tmp_path / "run"), "--clip", str(clip), *few]
    monkeypatch.setattr(sys, "argv", arguments)
    main()
    assert f"by {clip}" in capsys.readouterr().out
    measured = json.loads((tmp_path / "run" / "evaluation.json").read_text())["evaluations"]
    assert list(measured) == ["1", "2"]
    for record in measured.values():
        assert record["clip_score"]["count"] == 4 and 0 < record["clip_score"]["score"] < 100
        assert record["clip_score"]["clip"] == str(clip)
    monkeypatch.setattr(sys, "argv", [*arguments[:4], "openai/none", *few])
    with pytest.raises(SystemExit):
        main()
    assert "clip 'openai/none' could not be had from the hub" in capsys.readouterr().err
