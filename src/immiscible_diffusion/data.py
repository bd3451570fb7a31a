from dataclasses import dataclass
from torch import Tensor

@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set of images held in memory as bytes."""
    name: str
    pixels: Tensor  # uint8 [N, C, H, W]
    labels: Tensor | None  # int64 [N]
    class_names: tuple[str, ...]
    fingerprint: str  # changes when any pixel or label does
