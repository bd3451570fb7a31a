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
