"""What pairing leaves of the noise's law: measured, kept, and sampled from through the commands."""

import json
from pathlib import Path

import pytest
import torch
from tests.small_runs import small

from immiscible_diffusion.cli.evaluate import evaluate
from immiscible_diffusion.cli.sample import sample
from immiscible_diffusion.data.images import load_images, mean_image
from immiscible_diffusion.noise_moments import Marginal, fitted_marginal, lean, paired_rows
from immiscible_diffusion.pairing import Independent, Nearest, Pairing, Staged
from immiscible_diffusion.runs.images import advance, open_run
from immiscible_diffusion.runs.paired_marginal import marginal_of_run

DATA = load_images("digits")


def measured(pairing: Pairing, count: int) -> Marginal:
    return fitted_marginal(paired_rows(small(), DATA, pairing, count)[1])


def test_lean_is_that_of_the_largest_of_k_normals() -> None:
    """By inner product the projection on the image is the largest of 4 normals: 1.029 on average."""
    centre = mean_image(DATA)
    clean, noise = paired_rows(small(), DATA, Nearest(k=4, rule="dot", centre=centre), 8192)
    assert lean(clean, noise, centre) == pytest.approx(1.029, abs=0.03)
    clean, noise = paired_rows(small(), DATA, Independent(), 8192)
    assert lean(clean, noise, centre) == pytest.approx(0, abs=0.04)


def test_independent_noise_leaves_the_normal_law() -> None:
    marginal = measured(Independent(), 8192)
    assert marginal.std == pytest.approx(1, abs=0.005)
    # Unshrunk, 64 means of 8,192 draws have a length of 0.09.
    assert float(marginal.mean.norm()) < 0.05


def test_uncentred_nearest_leaves_a_mean_and_a_shorter_noise() -> None:
    pairing = Nearest(k=8)
    marginal = measured(pairing, 8192)
    _, noise = paired_rows(small(), DATA, pairing, 4096, step=3)
    assert marginal.std < 0.95 and float(marginal.mean.norm()) > 0.5
    assert torch.allclose(noise.mean(0), marginal.mean, atol=0.08)
    assert torch.nn.functional.cosine_similarity(
        marginal.mean.flatten(), mean_image(DATA).flatten(), dim=0
    ) == pytest.approx(1, abs=0.05)
    drawn = marginal.start(torch.randn(20000, *DATA.shape, generator=torch.Generator().manual_seed(0)))
    assert float(drawn.std(0).mean()) == pytest.approx(marginal.std, abs=0.01)
    assert torch.allclose(drawn.mean(0), marginal.mean, atol=0.04)


def test_the_end_of_training_counts() -> None:
    early, late = Staged(Nearest(k=8), end=0.5), Staged(Nearest(k=8), begin=0.5)
    assert measured(early, 2048).std == pytest.approx(1, abs=0.01)
    assert measured(late, 2048).std < 0.95


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marginal") / "run"
    for _ in advance(open_run(small(pairing="nearest:8"), folder, log_with="none"), sheet_every=0):
        pass
    return folder


def test_commands_begin_there_and_keep_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [run / "gaussian.png", run / "marginal.png"]
    sample(run, count=4, evaluations=2, out=files[0])
    assert not (run / "marginal.safetensors").exists()
    sample(run, count=4, evaluations=2, start="marginal", out=files[1])
    assert files[0].read_bytes() != files[1].read_bytes()
    kept = marginal_of_run(run, lambda: pytest.fail("measured again"))
    assert kept.std < 0.95
    found = {}
    for start in ("gaussian", "marginal"):
        evaluate(run, evaluations=(2,), count=80, features="pixels", start=start)
        written = json.loads((run / "evaluation.json").read_text())
        assert written["start"] == start
        found[start] = written["evaluations"]["2"]["frechet"]
    assert found["gaussian"] != found["marginal"]


def test_a_damaged_file_is_named(run: Path) -> None:
    (run / "marginal.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"marginal.safetensors is damaged.*delete it"):
        marginal_of_run(run, lambda: DATA)
    (run / "marginal.safetensors").unlink()
