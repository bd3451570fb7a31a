"""Consistency training on CIFAR-10 at the paper's size: 35.7 M parameters, batch 512, k = 4 (Tables 3, 4).

Command: immiscible train cifar10-consistency --data PATH (or nothing: the hub's copy) --precision bf16
On a CPU: immiscible train cifar10-consistency --network unet-small --batch-size 32 --steps 50
Hardware: four A6000-class GPUs, or one with --accumulation. Duration: days.
Paper: one-step FID 10.22 vanilla, 9.16 nearest k=4, 8.54 assigned (later version of the paper).
Ours: not run. The CPU command (1 s a step) ends at 47.3 and 49.4 at 1 and 2 evaluations: still noise (500
images, ResNet-20 features, not FID); it shows that the way from training to export works.

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
