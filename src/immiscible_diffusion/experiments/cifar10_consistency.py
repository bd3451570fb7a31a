"""Consistency training on CIFAR-10 at the paper's size: 35.7 M parameters, batch 512, k = 4 (Tables 3, 4).

Command: immiscible train cifar10-consistency --data PATH (or nothing: the hub's copy) --precision bf16
On a CPU: immiscible train cifar10-consistency --network unet-small --batch-size 32 --steps 50
Hardware: four A6000-class GPUs, or one with --accumulation. Duration: days.
Paper: one-step FID 10.22 vanilla, 9.16 nearest k=4, 8.54 assigned (later version of the paper).
Ours: not run at this size; a small network on a CPU. Change of the distance against vanilla, `immiscible
    evidence run cifar10-consistency`, 3 seeds, 1 / 2 / 4 evaluations: nearest:4 −5 ± 44 / −15 ± 36 /
    −1 ± 10 %, assigned +7 ± 32 / +2 ± 18 / +4 ± 12 %, assigned:above −10 ± 9 / −11 ± 4 / −4 ± 5 %.

The paper names neither steps, rate, averaging nor which recipe of consistency training. Taken from iCT:
loss, levels, curriculum, 400,000 steps, rate 0.0001. Not taken: its batch of 1,024, its own network, RAdam.
"""

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import Consistency

experiment = Experiment(
    name="cifar10-consistency",
    data="cifar10",
    network="unet-paper",
    objective=Consistency(),
    pairing="nearest:4",
    flip=True,
    batch_size=512,
    steps=400000,
    learning_rate=0.0001,
    warmup_steps=5000,
    ema_decay=0.9999,
)
