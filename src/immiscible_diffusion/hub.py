"""An exported pipeline on the Hugging Face hub."""

from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils._validators import validate_repo_id


def check_upload(repository: str) -> None:
    """Check what an upload needs, before any work: a whole repository name and a token.

    Raises ValueError.
    """
    try:
        validate_repo_id(repository)
        if "/" not in repository:
            raise HFValidationError("it names no owner")
    except HFValidationError as error:
        raise ValueError(
            f"push_to_hub {repository!r} is no repository name ({error}); give OWNER/NAME"
        ) from error
    if not get_token():
        raise ValueError(
            f"push_to_hub {repository!r} needs a token of the hub, and there is none; "
            "run `hf auth login` or set HF_TOKEN"
        )


def upload_pipeline(folder: Path, repository: str, *, private: bool = False, message: str) -> str:
    """Upload a pipeline's folder with its model card, making the repository if there is none; return its URL.

    Raises OSError where the hub cannot be reached or refuses; the folder stays.
    """
    api = HfApi()
    try:
        made = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    except (OSError, ValueError, RuntimeError) as error:
        raise OSError(
            f"push_to_hub {repository!r} failed ({type(error).__name__}: {error}); the pipeline is "
            f"in {folder}: check the network and what the token may do, then "
            f"`hf upload {repository} {folder}`"
        ) from error
    return str(made)
