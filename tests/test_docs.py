"""The documentation builds without a warning, the notebook runs, and the API page has every public name."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import immiscible_diffusion

ROOT = Path(__file__).resolve().parents[1]


def test_the_site_builds_with_warnings_as_errors(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    pages = list((tmp_path / "site").rglob("index.html"))
    assert len(pages) >= 20
    loaded = {
        address
        for page in pages
        for address in re.findall(
            r'<(?:link|script|img)[^>]+(?:href|src)="(https?://[^"]+)"', page.read_text()
        )
        if 'rel="canonical"' not in address
    }
    assert loaded == set()  # nothing from elsewhere: no fonts, no analytics
    api = (tmp_path / "site" / "api" / "index.html").read_text()
    assert "Give every row the nearest of k Gaussian noises" in api


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    assert {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")} == listed


def test_the_api_page_has_every_public_name() -> None:
    listed = re.findall(
        r"^::: immiscible_diffusion\.(\w+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE
    )
    assert sorted(listed) == sorted(immiscible_diffusion.__all__)


def test_the_quickstart_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is but for fewer steps; the first cell finds the package and installs nothing."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(ROOT / "docs" / "quickstart.ipynb", as_version=4)
    (steps,) = [cell for cell in notebook.cells if "STEPS, BATCH = 500, 128" in cell.source]
    steps.source = steps.source.replace("= 500, 128", "= 60, 64")
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(ROOT / "docs")}}
    ).execute()
    said = "".join(
        output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output
    )
    assert "HEALTHY" in said and said.count("evaluations:") == 4


def test_the_notebook_s_stored_results_are_whole() -> None:
    """A reader sees what it prints; an error in it would be stored, too."""
    notebook = nbformat.read(ROOT / "docs" / "quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert outputs and {output.output_type for output in outputs} == {"stream"}
    assert all(output.name == "stdout" for output in outputs)
