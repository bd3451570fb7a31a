"""The rooms of the house: which way imports point, how long files are, what names mean."""

import importlib.metadata
import io
import os
import shutil
import subprocess
import sys
import tokenize
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "immiscible_diffusion"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINES = 300
# Names that say nothing about what is inside.
VAGUE = {"util", "utils", "core", "common", "helpers", "misc"}
# They mean opposite things in diffusion and in flow matching.
AMBIGUOUS = {"x0", "x1", "x_0", "x_1"}
# torch itself brings tqdm where it is installed.
HEAVY = {
    "accelerate",
    "datasets",
    "diffusers",
    "matplotlib",
    "pandas",
    "PIL",
    "safetensors",
    "sklearn",
    "tensorboard",
    "torchmetrics",
    "transformers",
    "tyro",
}


def modules(source: Path = SOURCE) -> list[Path]:
    return sorted(source.rglob("*.py"))


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the package under `root`, whichever one is installed."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project that a test may spoil."""
    shutil.copytree(SOURCE, tmp_path / "src" / SOURCE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "README.md").write_text("A copy.\n", encoding="utf-8")
    return tmp_path


def test_imports_point_one_way() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("importing", "imported"),
    [
        ("pairing.nearest", "tqdm"),
        ("pairing.nearest", "immiscible_diffusion.data.images"),
        ("objectives.flow_matching", "immiscible_diffusion.training"),
        ("training", "immiscible_diffusion.comparison"),
    ],
)
def test_an_import_the_wrong_way_is_noticed(importing: str, imported: str, copy: Path) -> None:
    file = copy / "src" / SOURCE.name / (importing.replace(".", "/") + ".py")
    file.write_text(file.read_text(encoding="utf-8") + f"\nimport {imported}\n", encoding="utf-8")
    result = lint_imports(copy)
    assert result.returncode != 0
    assert f"immiscible_diffusion.{importing} -> {imported}" in result.stdout, result.stdout + result.stderr


def test_pairing_brings_in_nothing_heavy() -> None:
    """In a fresh interpreter: the room that most people install costs torch and scipy, and no more."""
    program = (
        "import sys, immiscible_diffusion.pairing; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "torch" in loaded and "scipy" in loaded
    assert sorted(HEAVY & set(loaded)) == []


def test_pairing_imports_no_other_room() -> None:
    program = (
        "import sys, immiscible_diffusion.pairing; print(*(m for m in sys.modules if m.startswith('immisc')))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    rooms = {name.split(".")[1] for name in loaded.stdout.split() if "." in name}
    assert rooms == {"pairing"}


def too_long(source: Path) -> list[str]:
    counted = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in modules(source)}
    return [f"{file.relative_to(source)}: {lines}" for file, lines in counted.items() if lines > LINES]


def vague(source: Path) -> list[str]:
    return [str(p.relative_to(source)) for p in source.rglob("*") if p.stem.strip("_").lower() in VAGUE]


def ambiguous(source: Path) -> list[str]:
    return [
        f"{file.relative_to(source)}:{line} {name}"
        for file in modules(source)
        for name, line in names(file)
        if name.lower() in AMBIGUOUS
    ]


def names(file: Path) -> Iterator[tuple[str, int]]:
    """Every name in a file's code with its line; comments and strings may cite the papers' symbols."""
    for token in tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.NAME:
            yield token.string, token.start[0]


def test_files_are_short() -> None:
    assert too_long(SOURCE) == []


def test_files_and_folders_say_what_is_in_them() -> None:
    assert vague(SOURCE) == []


def test_no_name_means_opposite_things() -> None:
    assert ambiguous(SOURCE) == []


def test_the_checks_on_files_notice_what_they_forbid(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "long.py").write_text("\n" * (LINES + 1))
    (tmp_path / "utils.py").write_text("x0 = 1  # x1 in a comment may be\n")
    assert too_long(tmp_path) == [f"long.py: {LINES + 1}"]
    assert sorted(vague(tmp_path)) == ["core", "utils.py"]
    assert ambiguous(tmp_path) == ["utils.py:1 x0"]


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(file.relative_to(SOURCE))
        for file in modules()
        if file.stat().st_size and not file.read_text(encoding="utf-8").startswith(('"""', "#!", 'r"""'))
    ]
    assert silent == []


def test_the_wheel_carries_the_package_and_its_types(copy: Path) -> None:
    pytest.importorskip(
        "setuptools", minversion="77", reason="needs the build backend, which pip would fetch"
    )
    program = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", program, str(copy)], cwd=copy, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(copy / built.stdout.split()[-1]) as wheel:
        inside = set(wheel.namelist())
    assert "immiscible_diffusion/py.typed" in inside
    wanted = {f"{SOURCE.name}/{file.relative_to(SOURCE).as_posix()}" for file in modules()}
    assert wanted - inside == set()


def test_the_installed_version_is_the_written_one() -> None:
    assert importlib.metadata.version(PROJECT["project"]["name"]) == PROJECT["project"]["version"]


def test_the_core_needs_only_torch_scipy_and_numpy() -> None:
    needed = {name.split(">")[0].split("=")[0] for name in PROJECT["project"]["dependencies"]}
    assert needed == {"torch", "scipy", "numpy"}
