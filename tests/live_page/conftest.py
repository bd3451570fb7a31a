"""The page as `immiscible demo` serves it, in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.text_to_image.small_models import VOCABULARY, small, write_images, write_pipeline

from immiscible_diffusion.text_to_image.runs import advance_text_to_image, open_text_to_image_run

STEPS = 6  # of the training that the page offers


@dataclass(frozen=True)
class Served:
    address: str
    port: int
    folder: Path
    process: subprocess.Popen[str]


def serve(folder: Path, *runs: Path) -> Served:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "immiscible_diffusion.cli", "demo", *map(str, runs)]
    process = subprocess.Popen(
        [*command, "--steps", str(STEPS), "--port", str(port)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=(folder / "errors.txt").open("w"),
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Page: "):
            return Served(line.split()[1].rstrip("/"), port, folder, process)
    raise AssertionError((folder / "errors.txt").read_text())


def end(served: Served) -> int:
    served.process.send_signal(signal.SIGINT)
    return served.process.wait(timeout=120)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A newcomer's page: no run yet."""
    pytest.importorskip("gradio")
    started = serve(tmp_path_factory.mktemp("newcomer"))
    yield started
    if started.process.poll() is None:
        assert end(started) == 0


@pytest.fixture(scope="session")
def prompted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two text-to-image runs on 16×16 images of three classes: vanilla and paired."""
    if not VOCABULARY.exists():
        pytest.skip(f"no vocabulary: {VOCABULARY} is absent")
    place = tmp_path_factory.mktemp("prompted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        pipeline, images = write_pipeline(place / "models"), write_images(place / "images")
        for name, pairing in (("a", "independent"), ("b", "assigned:within:above")):
            experiment = small(images, pipeline, pairing=pairing, steps=3)
            run = open_text_to_image_run(experiment, place / "runs" / name)
            assert len(list(advance_text_to_image(run))) == 3
    return place / "runs"
