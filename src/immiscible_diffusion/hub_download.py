"""Models of the Hugging Face hub as local folders; what stands in the way is said in one sentence."""

from collections.abc import Sequence
from pathlib import Path


def model_folder(name: str, argument: str, patterns: Sequence[str]) -> Path:
    """Return a local folder as it is, or download a hub repository's files and return their folder.

    name: path of a folder, or OWNER/NAME. patterns: files to download, such as "text_encoder/*.json"; ask for
    safetensors only. Files that were downloaded before are used without the network.
    Raises FileNotFoundError for a name that is neither, and for a repository that is missing, private, gated
    or out of reach; the sentence names `argument` and the remedy.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise FileNotFoundError(f"{argument} {name!r} is a file; give its folder")
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise FileNotFoundError(f"{argument} {name!r} is no folder here and no hub name such as 'owner/name'")

    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except GatedRepoError as error:
        raise FileNotFoundError(
            f"{argument} {name!r} is gated; accept its terms at https://huggingface.co/{name} and run "
            "`hf auth login`, or give a local folder"
        ) from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"{argument} {name!r} is not on the hub, or is private; check the name, run `hf auth login` if "
            "it is private, or give a local folder"
        ) from error
    except (HFValidationError, OSError, ValueError, RuntimeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise FileNotFoundError(
            f"{argument} {name!r} could not be had from the hub ({type(error).__name__}: {reason}); check "
            "the network and the name, or give a local folder"
        ) from error
