"""EDM on Fashion-MNIST (60,000 grey images of 28×28), a small U-Net.

Command: immiscible train fashion-mnist-edm --data PATH (or nothing: the hub's copy)
Hardware: 2 CPU cores. Duration: about 1.2 s a step, 20 minutes for the default 1,000 steps.
Paper: has no such experiment, nor EDM.
Ours: a small network. Change of the distance against vanilla, `immiscible evidence run fashion-mnist-edm`,
    3 seeds, 5 / 20 / 50 evaluations: assigned:above −31 ± 7 / −11 ± 17 / −7 ± 13 %, assigned −25 ± 9 /
    +6 ± 17 / +11 ± 16 %, nearest:8 −16 ± 8 / +7 ± 7 / +11 ± 5 %.
"""

import dataclasses

from immiscible_diffusion.experiments.fashion_mnist_ddim import experiment as ddim
from immiscible_diffusion.objectives import EDM

experiment = dataclasses.replace(ddim, name="fashion-mnist-edm", objective=EDM())
