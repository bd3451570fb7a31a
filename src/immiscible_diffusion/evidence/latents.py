"""What `compare` found for small text-to-image models, as a section of docs/results.md."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from immiscible_diffusion.comparison import (
    Comparison,
    comparison_from_json,
    evaluations_table,
    markdown_table,
    summarize,
)

SHOWN = ("network", "steps", "batch_size", "learning_rate", "guidance", "prompt_dropout", "ema_decay")
GIVEN = ("data", "autoencoder", "vocabulary", "network", "steps", "batch_size", "learning_rate", "ema_decay")
OPENING = """\
Small text-to-image models on 64×64 images: latents of FLUX.2's tiny autoencoder, prompts read by an
**untrained** text encoder, a U-Net of 0.8 million parameters, some hundred steps. Nothing here says how
Stable Diffusion behaves; it says that the whole way works on real data, and whether a difference shows early.
Cores were shared, and some runs paused for others, so no time is compared.
"""


def latent_comparisons(folder: Path) -> dict[str, Comparison]:
    """Read every results.json that `compare` wrote, kept as `folder`/NAME.json; none where there are none."""
    return {path.stem: comparison_from_json(path.read_text(encoding="utf-8")) for path in _kept(folder)}


def latent_section(folder: Path) -> str:
    """The section as Markdown; empty where nothing was run."""
    parts = [_shown(name, one, folder) for name, one in latent_comparisons(folder).items()]
    return "\n".join(["## Text-to-image models (small)\n", OPENING, *parts]) if parts else ""


def latent_words(folder: Path) -> str:
    """What was run in their stead, for the paper's rows on Stable Diffusion."""
    names = ", ".join(f"[{path.stem}](#{path.stem})" for path in _kept(folder))
    return f"; small models only: {names}" if names else ""


def _kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def _shown(name: str, comparison: Comparison, folder: Path) -> str:
    settings = comparison.settings
    values = ", ".join(f"{key.replace('_', ' ')} {settings[key]}" for key in SHOWN if key in settings)
    environment = comparison.environment
    table = evaluations_table(comparison, summarize(comparison, np.random.default_rng(0)))
    timed = table.headers.index("Speed-up in time")
    table = replace(
        table,
        headers=table.headers[:timed] + table.headers[timed + 1 :],
        rows=tuple(row[:timed] + row[timed + 1 :] for row in table.rows),
    )
    picture = f"![Samples by pairing, the same noise and prompts](images/latents-{name}.png)\n"
    return "\n".join(
        [
            f"### {name}\n",
            picture,
            markdown_table(table),
            f"Features: {comparison.feature_network}. Settings: {values}; {comparison.real_count:,} real "
            f"images against {comparison.generated_count:,} generated. Made on {environment['hardware']}, "
            f"torch {environment['torch']}. All numbers: "
            f"[{name}.json](../benchmarks/results/{folder.name}/{name}.json). "
            f"Again ([guide](stable_diffusion.md)): `{_command(comparison)}`\n",
        ]
    )


def _command(comparison: Comparison) -> str:
    """What makes the comparison again; only the feature network's file has to be put in."""
    settings = comparison.settings
    options: dict[str, object] = {name: settings[name] for name in GIVEN if name in settings}
    options["pairings"] = " ".join(dict.fromkeys(curve.pairing for curve in comparison.curves))
    options["seeds"] = len({curve.seed for curve in comparison.curves})
    options["evaluations"] = " ".join(map(str, comparison.evaluations))
    options["judged_at"] = comparison.judged_at
    options["points"] = len(comparison.curves[0].points)
    options["count"] = comparison.generated_count
    if "resnet" in comparison.feature_network:
        options["features"] = "resnet --weights FILE"
    words = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in options.items())
    return f"immiscible compare {comparison.experiment} {words}"
