"""How much a policy's noise alone tells of the observation: 0 for independent noise, which sampling uses.

A network trained on noise that tells the observation learns to read it there; at sampling time it reads
nothing, or worse, something false.
"""

import torch

from immiscible_diffusion.batches import paired_batches
from immiscible_diffusion.pairing import Pairing
from immiscible_diffusion.pairing.skew import told_variance
from immiscible_diffusion.policy.chunks import Chunks
from immiscible_diffusion.policy.experiment import PolicyExperiment
from immiscible_diffusion.policy.training import chunk_batch


def noise_skew(
    experiment: PolicyExperiment, chunks: Chunks, pairing: Pairing, batches: int | None = None
) -> float:
    """`told_variance` of the observation by the noise [horizon · 2] of an epoch, or of so many `batches`."""
    count = batches or max(2, len(chunks) // experiment.batch_size)
    cleans, noises, seen = [], [], []
    for batch, noise in paired_batches(
        lambda step: chunk_batch(experiment, chunks, step),
        pairing,
        experiment.seed,
        "noise",
        range(count),
        experiment.pairing_window,
    ):
        cleans.append(batch.clean)
        noises.append(noise)
        assert batch.condition is not None
        seen.append(batch.condition)
    # Batches of one epoch never repeat a chunk, but neighbours overlap: halves are by batch, not by episode.
    return told_variance(torch.cat(cleans), torch.cat(noises), torch.cat(seen))
