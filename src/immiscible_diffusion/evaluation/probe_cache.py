"""Keep a trained probe on disk, so that one data set is always measured with one probe."""

import hashlib
import json
import logging
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from immiscible_diffusion.data import ImageData
from immiscible_diffusion.evaluation.probe import VERSION, Probe, ProbeRecord, train_probe

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Say where probes are kept: $XDG_CACHE_HOME/immiscible-diffusion, or ~/.cache/immiscible-diffusion."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "immiscible-diffusion"


def probe_path(images: ImageData, folder: Path, seed: int = 0) -> Path:
    """Say which file holds the probe of a data set; another fingerprint, version or seed is another file."""
    key = hashlib.sha256(f"{VERSION}/{seed}/{images.fingerprint}".encode()).hexdigest()[:16]
    return folder / f"probe-{key}.safetensors"


def cached_probe(images: ImageData, folder: Path | None = None, seed: int = 0) -> tuple[Probe, ProbeRecord]:
    """Load the data set's probe, bit for bit as it was kept, or train and keep it.

    A damaged file is trained again and replaced. Where the folder cannot be written, that is logged and the
    probe is used unkept. Raises ValueError as `train_probe` does.
    """
    path = probe_path(images, folder or cache_folder(), seed)
    kept = _load(path, images, seed)
    if kept is not None:
        return kept
    logger.info("training a probe on %s, once (under a minute)", images.name)
    probe, record = train_probe(images, seed)
    _save(path, probe, record)
    logger.info(
        "probe(%s): %.1f %% of %d held-out images classified rightly, trained in %.0f s, kept at %s",
        images.name,
        100 * record.accuracy,
        record.held_out,
        record.seconds,
        path,
    )
    return probe, record


def _save(path: Path, probe: Probe, record: ProbeRecord) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in probe.state_dict().items()}
    metadata = {"record": json.dumps(asdict(record)), "checksum": _checksum(tensors)}
    aside: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written aside, then renamed: a reader or a second trainer never sees half a file.
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
        os.close(handle)
        save_file(tensors, aside, metadata)
        os.replace(aside, path)
    except (OSError, SafetensorError) as error:
        logger.warning("cannot keep the probe at %s (%s); it will be trained again next time", path, error)
        if aside is not None:
            Path(aside).unlink(missing_ok=True)


def _load(path: Path, images: ImageData, seed: int) -> tuple[Probe, ProbeRecord] | None:
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
        fields = json.loads(metadata["record"])
        record = ProbeRecord(**{**fields, "image_shape": tuple(fields["image_shape"])})
        expected = (VERSION, seed, images.fingerprint, tuple(images.pixels.shape[1:]))
        if (record.version, record.seed, record.fingerprint, record.image_shape) != expected:
            raise ValueError("it was made for other data")
        if metadata["checksum"] != _checksum(tensors):
            raise ValueError("its checksum is wrong")
        with torch.device("meta"):  # elsewhere, weights would be drawn from the global generator
            probe = Probe(record.image_shape, record.classes)
        probe.load_state_dict(tensors, assign=True)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        logger.warning("the probe kept at %s is damaged (%s); training it again", path, error)
        return None
    probe.requires_grad_(False).eval()
    return probe, record


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
