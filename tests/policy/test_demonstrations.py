"""Reading demonstrations, cutting them into padded windows, scaling them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from immiscible_diffusion.policy.chunks import load_chunks
from immiscible_diffusion.policy.demonstrations import load_demonstrations, observations, windows
from immiscible_diffusion.policy.normalisation import limits_of


def arrays(seed: int = 0, lengths: tuple[int, ...] = (20, 17, 30)) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    rows = sum(lengths)
    return {
        "action": random.uniform(0, 512, (rows, 2)).astype(np.float32),
        "state": random.uniform(0, 512, (rows, 5)).astype(np.float32),
        "keypoint": random.uniform(0, 512, (rows, 9, 2)).astype(np.float32),
        "episode_ends": np.cumsum(lengths),
    }


def write_npz(path: Path, held: dict[str, np.ndarray]) -> Path:
    np.savez(path, **held)
    return path


def write_zarr(path: Path, held: dict[str, np.ndarray]) -> Path:
    zarr = pytest.importorskip("zarr")
    archive = zarr.open_group(str(path), mode="w", zarr_format=2)  # the published archive's format
    for name, values in held.items():
        place = "meta" if name == "episode_ends" else "data"
        stored = archive.require_group(place).create_array(name, shape=values.shape, dtype=values.dtype)
        stored[:] = values
    return path


def test_an_archive_and_a_file_hold_the_same(tmp_path: Path) -> None:
    held = arrays()
    one = load_demonstrations(str(write_npz(tmp_path / "a.npz", held)))
    other = load_demonstrations(str(write_zarr(tmp_path / "a.zarr", held)))
    assert one.fingerprint == other.fingerprint
    np.testing.assert_array_equal(other.keypoint, held["keypoint"].astype(np.float64))
    assert [(part.start, part.stop) for part in other.episodes] == [(0, 20), (20, 37), (37, 67)]
    held["action"][3, 1] += 1
    assert load_demonstrations(str(write_npz(tmp_path / "b.npz", held))).fingerprint != one.fingerprint


def test_what_a_policy_sees(tmp_path: Path) -> None:
    held = arrays()
    recorded = load_demonstrations(str(write_npz(tmp_path / "a.npz", held)))
    assert observations(recorded, "state").shape == (67, 5)
    seen = observations(recorded, "keypoint")
    np.testing.assert_array_equal(seen[5, :18].reshape(9, 2), recorded.keypoint[5])
    np.testing.assert_array_equal(seen[5, 18:], recorded.state[5, :2])
    with pytest.raises(ValueError, match="unknown observations 'keypoints'; did you mean 'keypoint'"):
        observations(recorded, "keypoints")  # type: ignore[arg-type]


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.integers(1, 16),
    st.integers(0, 15),
    st.integers(0, 15),
)
def test_windows_are_those_of_the_definition(
    lengths: list[int], horizon: int, before: int, after: int
) -> None:
    before, after = min(before, horizon - 1), min(after, horizon - 1)
    wanted = []
    start = 0
    for length in lengths:
        for first in range(-before, length - horizon + after + 1):
            inside = [min(max(first + step, 0), length - 1) for step in range(horizon)]
            wanted.append([start + row for row in inside])
        start += length
    found = windows(np.cumsum(lengths), horizon, before, after)
    assert found.shape == (len(wanted), horizon)
    assert found.tolist() == wanted


def test_padding_is_checked() -> None:
    with pytest.raises(ValueError, match="padding must be from 0 up to but not horizon"):
        windows(np.array([20]), 4, 4, 0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_scaling_fills_the_range_and_comes_back(seed: int, width: int) -> None:
    values = np.random.default_rng(seed).normal(size=(30, width)) * 100 + 50
    values[:, 0] = 7.0  # a dimension that never changes
    limits = limits_of(values)
    scaled = limits.normalise(values)
    assert scaled[:, 0].abs().max() == 0
    if width > 1:
        assert torch.allclose(scaled[:, 1:].amin(0), torch.tensor(-1.0))
        assert torch.allclose(scaled[:, 1:].amax(0), torch.tensor(1.0))
    np.testing.assert_allclose(limits.restore(scaled).numpy(), values, atol=1e-4)


def test_chunks_are_windows_at_scale(tmp_path: Path) -> None:
    source = str(write_npz(tmp_path / "a.npz", arrays()))
    chunks = load_chunks(source, "state", horizon=8, observation_steps=2, action_steps=4)
    recorded = load_demonstrations(source)
    rows = windows(recorded.episode_ends, 8, 1, 3)
    assert chunks.action.shape == (len(rows), 8, 2) and chunks.observation.shape == (len(rows), 2, 5)
    middle = len(rows) // 2
    # Action t was taken on seeing observation t: both begin at the same row.
    restored = chunks.action_limits.restore(chunks.action[middle])
    np.testing.assert_allclose(restored.numpy(), recorded.action[rows[middle]], atol=1e-3)
    restored = chunks.observation_limits.restore(chunks.observation[middle])
    np.testing.assert_allclose(restored.numpy(), recorded.state[rows[middle][:2]], atol=1e-3)


def without(name: str) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda held: held.pop(name) and None


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda held: held.update({name: change(held[name])})


def infinite(array: np.ndarray) -> np.ndarray:
    array[2, 0] = np.inf
    return array


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (changed("state", lambda array: array[:, :4]), "state has shape .* 5 numbers a step"),
        (changed("action", lambda array: array[:-1]), "as many steps as action"),
        (changed("keypoint", infinite), "keypoint holds a value that is not finite"),
        (changed("episode_ends", lambda array: array[:-1]), "episode_ends must rise to the number of steps"),
        (changed("episode_ends", lambda array: array[::-1]), "episode_ends must rise"),
    ],
)
def test_bad_demonstrations_are_refused(
    tmp_path: Path, spoil: Callable[[dict[str, np.ndarray]], None], message: str
) -> None:
    held = arrays()
    spoil(held)
    with pytest.raises(ValueError, match=message):
        load_demonstrations(str(write_npz(tmp_path / "a.npz", held)))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    held = arrays()
    del held["keypoint"]
    with pytest.raises(ValueError, match="lacks keypoint; it holds action, state, episode_ends"):
        load_demonstrations(str(write_npz(tmp_path / "a.npz", held)))
    with pytest.raises(ValueError, match="lacks data/keypoint"):
        load_demonstrations(str(write_zarr(tmp_path / "a.zarr", held)))
    with pytest.raises(FileNotFoundError, match=r"does not exist; give --data the path of .*replay\.zarr"):
        load_demonstrations(str(tmp_path / "nowhere"))
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="no npz file that can be read"):
        load_demonstrations(str(tmp_path / "broken.npz"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="no zarr archive that can be read"):
        load_demonstrations(str(tmp_path / "folder"))


def test_a_part_is_chosen_as_published(tmp_path: Path) -> None:
    lengths = tuple(range(10, 110))
    source = str(write_npz(tmp_path / "a.npz", arrays(lengths=lengths)))
    part = load_demonstrations(source, 30)
    # Diffusion Policy: 2 % set aside by default_rng(42), then 30 of the rest by default_rng(42) again.
    aside = set(np.random.default_rng(42).choice(100, size=2, replace=False).tolist())
    rest = [episode for episode in range(100) if episode not in aside]
    chosen = sorted(np.random.default_rng(42).choice(98, size=30, replace=False).tolist())
    assert [one.stop - one.start for one in part.episodes] == [lengths[rest[index]] for index in chosen]
    with pytest.raises(ValueError, match="episodes must be from 1 to 98 of the 100, got 99"):
        load_demonstrations(source, 99)


def test_the_real_demonstrations_make_as_many_chunks_as_published(shared_data: Path) -> None:
    source = str(shared_data / "pusht.npz")
    chunks = load_chunks(source, "keypoint", horizon=16, observation_steps=2, action_steps=8)
    assert len(chunks) == 25_650 - 206 * 7  # an episode of L steps: from −1 to L − 16 + 7
    assert chunks.action.abs().max() <= 1 and chunks.observation.abs().max() <= 1
