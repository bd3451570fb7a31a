"""EDM on Fashion-MNIST (60,000 grey images of 28×28), a small U-Net.

Command: immiscible train fashion-mnist-edm --data PATH (or nothing: the hub's copy)
Hardware: 2 CPU cores. Duration: about 1.2 s a step, 20 minutes for the default 1,000 steps.
Paper: has no such experiment, nor EDM.
Ours: docs/results.md, a small network (`immiscible evidence run fashion-mnist-edm`), three seeds: the pairing
    below lowers the distance at 5 evaluations by 31 ± 7 %; at 20 and 50 by 11 and 7 %, within seed noise.
"""

import dataclasses

from immiscible_diffusion.experiments.fashion_mnist_ddim import experiment as ddim
from immiscible_diffusion.objectives import EDM

experiment = dataclasses.replace(ddim, name="fashion-mnist-edm", objective=EDM())
