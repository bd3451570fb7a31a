"""Files that are whole or not there."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> Path:
    """Write aside, then rename, so that nobody reads half a file; makes the folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.writing")
    aside.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(aside, path)
    return path
