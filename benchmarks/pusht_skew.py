"""What a policy's noise alone tells of the observation, for every way of pairing (about a minute).

    .venv/bin/python -m benchmarks.pusht_skew --data ../shared/data/pusht.npz

R² on held-out rows of a ridge regression from noise (32 numbers) to the observation (40), over one epoch of
batches of 256; and by how much pairing brings noise nearer to its chunk. First, what the observation alone
tells of its chunk, without any noise. Writes benchmarks/results/pusht_skew.json.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import torch
from sklearn.ensemble import ExtraTreesRegressor

from immiscible_diffusion.environment import describe_environment
from immiscible_diffusion.experiments import any_experiment
from immiscible_diffusion.pairing import Independent, Pairing
from immiscible_diffusion.policy.chunks import Chunks
from immiscible_diffusion.policy.experiment import PolicyExperiment
from immiscible_diffusion.policy.paired_chunks import policy_pairing
from immiscible_diffusion.policy.runs import load_experiment_chunks
from immiscible_diffusion.policy.skew import noise_skew
from immiscible_diffusion.policy.training import chunk_batch
from immiscible_diffusion.randomness import generator_for

RESULTS = Path(__file__).parent / "results" / "pusht_skew.json"
# (pairing, standardised, rows of a cluster of similar observations)
WAYS: tuple[tuple[str, bool, int], ...] = (
    ("independent", False, 0),
    ("nearest:2:uncentred", False, 0),
    ("nearest:2", False, 0),
    ("nearest:2", True, 0),
    ("nearest:2:batch", False, 16),
    ("nearest:8", False, 0),
    ("assigned", False, 0),
    ("assigned", True, 0),
    ("assigned", False, 32),
    ("assigned", False, 16),
    ("assigned", False, 8),
    ("assigned", True, 16),
)
BATCHES = 20


def distance(experiment: PolicyExperiment, chunks: Chunks, pairing: Pairing) -> float:
    """Mean distance from a chunk to its noise, over some batches."""
    total = 0.0
    for step in range(BATCHES):
        batch = chunk_batch(experiment, chunks, step)
        generator = generator_for(experiment.seed, "noise", step)
        noise = pairing(batch.clean, generator=generator, condition=batch.condition)
        total += float(torch.linalg.vector_norm((noise - batch.clean).flatten(1), dim=1).mean())
    return total / BATCHES


def told_by_observation(chunks: Chunks) -> float:
    """R² of a forest from observations to chunks, fitted on the first four fifths of the demonstrations."""
    seen, done = chunks.observation.flatten(1).numpy(), chunks.action.flatten(1).numpy()
    fitted = 4 * len(done) // 5  # chunks stand in the order of their episodes
    forest = ExtraTreesRegressor(50, min_samples_leaf=5, max_features=0.5, random_state=0)
    forest.fit(seen[:fitted], done[:fitted])
    missed = float(((forest.predict(seen[fitted:]) - done[fitted:]) ** 2).sum())
    return 1 - missed / float(((done[fitted:] - done[fitted:].mean(axis=0)) ** 2).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    base = any_experiment("pusht-small")
    assert isinstance(base, PolicyExperiment)
    base = dataclasses.replace(base, data=given.data)
    chunks = load_experiment_chunks(base)
    told = told_by_observation(chunks)
    print(f"The observation alone tells {told:.1%} of its chunk's variance on held-out demonstrations.\n")
    plain = distance(base, chunks, Independent())
    rows = []
    print("| pairing | standardised | cluster | noise tells observation, R² | distance |")
    print("|---|---|---:|---:|---:|")
    for name, standardised, cluster in WAYS:
        one = dataclasses.replace(
            base, pairing=name, pairing_standardise=standardised, pairing_cluster=cluster
        )
        pairing = policy_pairing(one, chunks)
        skew = noise_skew(one, chunks, pairing)
        change = distance(one, chunks, pairing) / plain - 1
        rows.append(
            {
                "pairing": one.pairing,
                "standardised": standardised,
                "cluster": cluster,
                "skew": skew,
                "distance_change": change,
            }
        )
        words = f"| {one.pairing} | {standardised} | {cluster or '–'} | {skew:+.4f} | {change:+.1%} |"
        print(words, flush=True)
    result = {
        "data": chunks.name,
        "observation_tells_chunk": told,
        "rows": rows,
        "environment": describe_environment(),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
