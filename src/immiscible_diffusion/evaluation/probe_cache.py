"""Keep a trained probe on disk, so that one data set is always measured with one probe."""

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path

import torch

from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.evaluation.probe import VERSION, Probe, ProbeRecord, train_probe
from immiscible_diffusion.kept_tensors import cache_folder, keep_tensors, kept_tensors

logger = logging.getLogger(__name__)


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
    try:
        keep_tensors(path, probe.state_dict(), {"record": json.dumps(asdict(record))})
    except OSError as error:
        logger.warning("cannot keep the probe at %s (%s); it will be trained again next time", path, error)


def _load(path: Path, images: ImageData, seed: int) -> tuple[Probe, ProbeRecord] | None:
    if not path.exists():
        return None
    try:
        tensors, metadata = kept_tensors(path)
        fields = json.loads(metadata["record"])
        record = ProbeRecord(**{**fields, "image_shape": tuple(fields["image_shape"])})
        expected = (VERSION, seed, images.fingerprint, tuple(images.pixels.shape[1:]))
        if (record.version, record.seed, record.fingerprint, record.image_shape) != expected:
            raise ValueError("it was made for other data")
        with torch.device("meta"):  # elsewhere, weights would be drawn from the global generator
            probe = Probe(record.image_shape, record.classes)
        probe.load_state_dict(tensors, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        logger.warning("the probe kept at %s is damaged (%s); training it again", path, error)
        return None
    probe.requires_grad_(False).eval()
    return probe, record
