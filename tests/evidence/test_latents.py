"""The section on text-to-image models, from the JSONs that `compare` writes."""

import json
from pathlib import Path

from immiscible_diffusion.comparison import comparison_to_json
from immiscible_diffusion.evidence.latents import latent_section, latent_words
from immiscible_diffusion.evidence.result import read_results

ROOT = Path(__file__).parents[2]


def test_without_runs_there_is_no_section(tmp_path: Path) -> None:
    assert latent_section(tmp_path) == "" and latent_words(tmp_path) == ""


def test_the_section_follows_its_numbers(tmp_path: Path) -> None:
    comparison = read_results(ROOT / "results")["digits-flow"].comparison
    (tmp_path / "some.json").write_text(comparison_to_json(comparison))
    section = latent_section(tmp_path)
    assert "### some" in section and "untrained" in section and comparison.feature_network in section
    assert "| Speed-up in steps |\n" in section and "Speed-up in time" not in section
    assert section.count("\n| independent |") == len(comparison.evaluations)
    assert latent_words(tmp_path)
    pairings = " ".join(dict.fromkeys(curve.pairing for curve in comparison.curves))
    assert (
        f"`immiscible compare digits-flow --data digits --network {comparison.settings['network']}" in section
    )
    assert f"--pairings {pairings} --seeds 5 --evaluations 5 20 50 --judged-at 20 --points 4" in section
    content = json.loads((tmp_path / "some.json").read_text())
    for score in content["curves"][0]["points"][-1]["scores"].values():
        score["frechet"] += 1
    (tmp_path / "some.json").write_text(json.dumps(content))
    assert latent_section(tmp_path) != section
