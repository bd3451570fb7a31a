"""What there is to look at: finished runs and comparisons below some folders."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from immiscible_diffusion.policy.experiment import KIND as POLICY
from immiscible_diffusion.policy.kept import KEPT_FOLDER
from immiscible_diffusion.runs.checkpoints import checkpoint_steps
from immiscible_diffusion.text_to_image.experiment import KIND as TEXT

DEEPEST = 5  # folders below a given one: runs/demo/digits-flow/runs/NAME and one more
VANILLA = "independent"
BETWEEN = " · "  # the parts of a run's name: experiment, pairing, seed, folder


@dataclass(frozen=True)
class Found:
    """Folders by the name that a person chooses them under; of comparisons, their results.json."""

    images: dict[str, Path] = field(default_factory=dict)
    prompted: dict[str, Path] = field(default_factory=dict)  # text-to-image runs
    policies: dict[str, Path] = field(default_factory=dict)
    comparisons: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Library:
    """Where to look; what is found there changes while the page is open."""

    folders: tuple[Path, ...]  # none below another

    def found(self) -> Found:
        return find(self.folders)


def two_alike(names: Sequence[str]) -> tuple[str | None, str | None]:
    """Choose a vanilla run and one of the same experiment and seed that is paired, if there are."""
    vanilla = [name for name in names if name.split(BETWEEN)[1] == VANILLA]
    for name in vanilla:
        like = [one for one in names if one != name and _but_pairing(one) == _but_pairing(name)]
        if like:
            return name, min(like, key=lambda one: not one.split(BETWEEN)[1].startswith("assigned"))
    first = next(iter([*vanilla, *names]), None)
    return first, next((name for name in names if name != first), first)


def find(folders: Sequence[Path]) -> Found:
    """Look for finished runs and comparisons in folders and below them; damaged ones are passed by."""
    found = Found()
    kinds = {TEXT: found.prompted, POLICY: found.policies, None: found.images}
    for folder in dict.fromkeys(place for given in folders for place in _below(given, DEEPEST)):
        config = _read(folder / "config.json")
        if config is None:
            for file in sorted(folder.glob("*results.json")):
                held = _read(file)
                if held and "curves" in held and "judged_at" in held:
                    found.comparisons[f"{held['experiment']}{BETWEEN}{file}"] = file
        elif config.get("kind") in kinds and "pairing" in config and _has_weights(folder, config.get("kind")):
            said = (config.get("name"), config["pairing"], f"seed {config.get('seed')}", folder)
            kinds[config.get("kind")][BETWEEN.join(map(str, said))] = folder
    return found


def chosen(what: str, name: Any, among: dict[str, Path]) -> Path:
    """Give the folder of a name. Raises ValueError where it is none of those found."""
    if not among:
        raise ValueError(f"there is no {what} yet; train the digits on the first tab, or start with one")
    if not isinstance(name, str) or name not in among:
        raise ValueError(f"{str(name)[:80]!r} is no {what} here; choose one of the list")
    return among[name]


def read_prompts(found: Found, names: Sequence[Any]) -> bool:
    """Say whether runs are text-to-image runs.

    Raises ValueError for a name that was not found, and where one reads prompts and another does not.
    """
    for name in names:
        chosen("run", name, found.images | found.prompted)
    kinds = {name in found.prompted for name in names}
    if len(kinds) > 1:
        raise ValueError(
            "one of the two runs reads prompts and the other does not, so they cannot start from the same "
            "noise; choose two of a kind"
        )
    return kinds.pop()


def _below(folder: Path, depth: int) -> Iterator[Path]:
    yield folder
    if depth and not (folder / "config.json").exists() and folder.is_dir():
        for below in sorted(folder.iterdir()):
            if below.is_dir() and not below.is_symlink():
                yield from _below(below, depth - 1)


def _but_pairing(name: str) -> tuple[str, str, Path]:
    experiment, _, seed, folder = name.split(BETWEEN, 3)
    return experiment, seed, Path(folder).parent


def _read(file: Path) -> dict[str, Any] | None:
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) else None


def _has_weights(folder: Path, kind: str | None) -> bool:
    return bool(checkpoint_steps(folder / (KEPT_FOLDER if kind == POLICY else "checkpoints")))
