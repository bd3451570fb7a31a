"""How the command line tells a finding: its sentence, its warnings, its files."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from immiscible_diffusion.analysis import Finding


def tell(finding: "Finding", folder: Path) -> None:
    """Write a finding into `folder` and print what a person wants to know of it."""
    from immiscible_diffusion.analysis import write_finding

    paths = write_finding(finding, folder)
    print(f"\n{finding.title}\n{finding.sentence}")
    for warning in finding.warnings:
        print(f"Warning: {warning}")
    print(f"Wrote {', '.join(str(path) for path in paths)}")
