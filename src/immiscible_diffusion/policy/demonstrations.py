"""Recorded PushT demonstrations: read from a zarr archive or an npz file, cut into windows of steps."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from immiscible_diffusion.pairing.suggestions import unknown

Observations = Literal["state", "keypoint"]
Floats = NDArray[np.float64]
ARRAYS = ("action", "state", "keypoint")
WIDTHS = {"action": 2, "state": 5, "keypoint": 18}
VALIDATION_SHARE, EPISODE_SEED = 0.02, 42  # of the published data set


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """Episodes end to end, in pixels and radians; row t of `action` was taken on seeing row t of the rest."""

    name: str
    action: Floats  # [N, 2] where the agent shall go, pixels
    state: Floats  # [N, 5] agent x, y, block x, y in pixels, block angle in radians
    keypoint: Floats  # [N, 9, 2] points of the block, pixels
    episode_ends: NDArray[np.int64]  # [E] rows after the last of each episode
    fingerprint: str  # changes when any number does

    @property
    def episodes(self) -> list[slice]:
        """The rows of every episode."""
        starts = np.concatenate([[0], self.episode_ends[:-1]])
        return [slice(int(a), int(b)) for a, b in zip(starts, self.episode_ends, strict=True)]


def load_demonstrations(source: str, episodes: int | None = None) -> Demonstrations:
    """Read demonstrations as Diffusion Policy (Chi et al. 2023) publishes them.

    source: a zarr archive (folder or .zip, with data/action, data/state, data/keypoint, meta/episode_ends),
        or an .npz file with action, state, keypoint and episode_ends.
    episodes: keep so many, chosen as the published data set does (2 % are set aside first, seed 42).
    Raises FileNotFoundError for no such path, ImportError where zarr is needed and absent, ValueError for
    an array that is missing or of another shape, not finite, or more episodes than there are.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"data {source!r} does not exist; give --data the path of Diffusion Policy's "
            "pusht_cchi_v7_replay.zarr, or of an .npz file with action, state, keypoint and episode_ends"
        )
    arrays = _from_npz(path) if path.suffix == ".npz" else _from_zarr(path)
    ends = np.asarray(arrays["episode_ends"], np.int64)
    numbers = {name: np.asarray(arrays[name], np.float64) for name in ARRAYS}
    rows = len(numbers["action"])
    for name, array in numbers.items():
        if len(array) != rows or array.reshape(rows, -1).shape[1] != WIDTHS[name]:
            raise ValueError(
                f"data {source!r}: {name} has shape {array.shape}; {WIDTHS[name]} numbers a step and as many "
                f"steps as action ({rows}) are needed"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"data {source!r}: {name} holds a value that is not finite")
    if ends.ndim != 1 or not len(ends) or (np.diff(ends, prepend=0) < 1).any() or ends[-1] != rows:
        raise ValueError(
            f"data {source!r}: episode_ends must rise to the number of steps ({rows}), got {ends[-3:]}"
        )
    digest = hashlib.blake2b(ends.tobytes(), digest_size=16)
    for array in numbers.values():
        digest.update(array.tobytes())
    keypoint = numbers["keypoint"].reshape(rows, 9, 2)
    whole = Demonstrations(path.stem, numbers["action"], numbers["state"], keypoint, ends, digest.hexdigest())
    return whole if episodes is None else _subset(whole, episodes)


def observations(demonstrations: Demonstrations, kind: Observations) -> Floats:
    """What a policy sees at every step [N, D]: the state (5), or the block's keypoints and the agent (20)."""
    if kind not in get_args(Observations):
        raise ValueError(unknown("observations", kind, get_args(Observations)))
    if kind == "state":
        return demonstrations.state
    return np.concatenate(
        [demonstrations.keypoint.reshape(len(demonstrations.state), -1), demonstrations.state[:, :2]], axis=1
    )


def windows(episode_ends: NDArray[np.int64], horizon: int, before: int, after: int) -> NDArray[np.int64]:
    """Row numbers of every window of `horizon` steps inside an episode, int64 [W, horizon].

    A window may begin up to `before` steps ahead of its episode and end up to `after` steps past it; there it
    repeats the episode's first and last row (Chi et al.: before = observation steps − 1, after = action
    steps − 1). Raises ValueError where the padding is negative or as long as the window.
    """
    if min(before, after) < 0 or max(before, after) >= horizon:
        raise ValueError(
            f"padding must be from 0 up to but not horizon ({horizon}), got before {before}, after {after}"
        )
    cut = []
    start = 0
    for end in episode_ends:
        first = np.arange(start - before, end - horizon + after + 1)
        cut.append(np.clip(first[:, None] + np.arange(horizon), start, end - 1))
        start = end
    return np.concatenate(cut).astype(np.int64)


def _from_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file}
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ValueError(f"data {str(path)!r} is no npz file that can be read: {error}") from error
    missing = [name for name in (*ARRAYS, "episode_ends") if name not in held]
    if missing:
        raise ValueError(f"data {str(path)!r} lacks {', '.join(missing)}; it holds {', '.join(held)}")
    return held


def _from_zarr(path: Path) -> dict[str, Any]:
    try:
        import zarr
    except ModuleNotFoundError as error:
        raise ImportError(
            f"data {str(path)!r} is a zarr archive and zarr is not installed; "
            "pip install 'immiscible-diffusion[policy]'"
        ) from error
    try:
        archive: Any = zarr.open_group(str(path), mode="r")
    except Exception as error:
        raise ValueError(f"data {str(path)!r} is no zarr archive that can be read: {error}") from error
    places = {name: f"data/{name}" for name in ARRAYS} | {"episode_ends": "meta/episode_ends"}
    missing = [place for place in places.values() if place not in archive]
    if missing:
        raise ValueError(f"data {str(path)!r} lacks {', '.join(missing)}; see Diffusion Policy's archive")
    return {name: archive[place][:] for name, place in places.items()}


def _subset(whole: Demonstrations, count: int) -> Demonstrations:
    """Keep the episodes that the published code trains on when told to use `count`."""
    number = len(whole.episode_ends)
    aside = min(max(1, round(number * VALIDATION_SHARE)), number - 1)
    kept = np.ones(number, bool)
    kept[np.random.default_rng(EPISODE_SEED).choice(number, size=aside, replace=False)] = False
    there = np.nonzero(kept)[0]
    if not 1 <= count <= len(there):
        raise ValueError(f"episodes must be from 1 to {len(there)} of the {number}, got {count}")
    drawn = np.random.default_rng(EPISODE_SEED).choice(len(there), size=count, replace=False)
    chosen = [whole.episodes[index] for index in np.sort(there[drawn])]
    rows = np.concatenate([np.arange(one.start, one.stop) for one in chosen])
    ends = np.cumsum([one.stop - one.start for one in chosen])
    return Demonstrations(
        whole.name,
        whole.action[rows],
        whole.state[rows],
        whole.keypoint[rows],
        ends,
        f"{whole.fingerprint}-{count}",
    )
