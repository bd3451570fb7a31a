"""How much a policy's noise alone tells of the observation: 0 for independent noise, which sampling uses.

A network trained on noise that tells the observation learns to read it there; at sampling time it reads
nothing, or worse, something false.
"""

import torch
from torch import Tensor

from immiscible_diffusion.pairing import Pairing
from immiscible_diffusion.policy.chunks import Chunks
from immiscible_diffusion.policy.experiment import PolicyExperiment
from immiscible_diffusion.policy.training import chunk_batch
from immiscible_diffusion.randomness import generator_for

RIDGE = 1.0


def noise_skew(
    experiment: PolicyExperiment, chunks: Chunks, pairing: Pairing, batches: int | None = None
) -> float:
    """R² on held-out rows of a ridge regression from noise [horizon · 2] to the observation.

    Fitted on one half of an epoch's batches (or of so many `batches`), judged on the other; 1 is "noise tells
    all", 0 or slightly below "nothing" (linearly). Summed over the observation's elements before dividing.
    """
    from sklearn.linear_model import Ridge

    count = batches or max(2, len(chunks) // experiment.batch_size)
    noises: list[Tensor] = []
    seen: list[Tensor] = []
    for step in range(count):
        batch = chunk_batch(experiment, chunks, step)
        generator = generator_for(experiment.seed, "noise", step)
        noises.append(pairing(batch.clean, generator=generator, condition=batch.condition).flatten(1))
        assert batch.condition is not None
        seen.append(batch.condition.flatten(1))
    noise, observation = torch.cat(noises).double().numpy(), torch.cat(seen).double().numpy()
    # Batches of one epoch never repeat a chunk, but neighbours overlap: halves are by batch, not by episode.
    half = len(noise) // 2
    model = Ridge(alpha=RIDGE).fit(noise[:half], observation[:half])
    error = ((model.predict(noise[half:]) - observation[half:]) ** 2).sum()
    spread = ((observation[half:] - observation[half:].mean(axis=0)) ** 2).sum()
    return float(1 - error / spread)
