"""What all tests share: real data by path, and an internet that is not there."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

# Nothing may be downloaded in tests, whatever a library would like to.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
# Read when triton is first imported, by whichever test comes first.
if shutil.which("nvidia-smi") is None:
    os.environ["TRITON_INTERPRET"] = "1"

from tests.forking import Command, Forks

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Runs of the command in real processes."""
    started = Forks()
    yield started
    started.close()


@pytest.fixture
def immiscible(forks: Forks) -> Command:
    """`immiscible(*arguments, folder=...)`: the command in a process of its own; what it said."""
    return forks.command


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout, skipping where it is absent."""
    if not (SHARED / "data").exists():
        pytest.skip(f"no real data: {SHARED / 'data'} is absent")
    return SHARED / "data"
