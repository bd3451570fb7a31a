"""Where images come from: parquet files, folders of images and hub data sets, as tables of encoded rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from immiscible_diffusion.pairing.suggestions import unknown

HUB_NAMES = {"cifar10": "uoft-cs/cifar10", "fashion-mnist": "zalando-datasets/fashion_mnist"}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def open_table(source: str, split: str) -> Any:
    """Open a local or hub data set as a `datasets.Dataset`.

    Raises FileNotFoundError where there is none, ValueError where its files cannot be read.
    """
    import datasets

    datasets.disable_progress_bars()
    path = Path(source).expanduser()
    if path.is_file():
        return _parquet([path], split)
    if path.is_dir():
        files = sorted(path.glob(f"{split}*.parquet")) or sorted(path.glob(f"data/{split}*.parquet"))
        if files:
            return _parquet(files, split)
        if others := sorted(path.rglob("*.parquet")):
            raise FileNotFoundError(
                f"folder {source!r} has no parquet file of split {split!r}; it holds "
                f"{', '.join(other.name for other in others[:4])}; name one of these files or another split"
            )
        if not any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.rglob("*")):
            raise FileNotFoundError(f"folder {source!r} holds neither parquet files nor images")
        return datasets.load_dataset("imagefolder", data_dir=str(path), split="train")
    hub_name = HUB_NAMES.get(source, source)
    if "/" not in hub_name or path.is_absolute() or source.startswith("."):
        raise FileNotFoundError(
            f"{unknown('data', source, ['digits', *HUB_NAMES])}, a hub name such as 'owner/name', "
            "or the path of an existing parquet file or folder"
        )
    try:
        return datasets.load_dataset(hub_name, split=split)
    except Exception as error:
        raise FileNotFoundError(
            f"data {source!r} could not be loaded from the hub ({type(error).__name__}: {error}); "
            "check the name and the network, or give the path of a local copy with --data"
        ) from error


def encoded_images(table: Any, name: str | None) -> Iterator[Any]:
    """Iterate encoded images, decoding nothing yet, so that a bad one can be named; see `image_column_of`."""
    encoded = image_column_of(table, name)
    return (row[column] for column in encoded.column_names for row in encoded)


def image_column_of(table: Any, name: str | None) -> Any:
    """The column of images alone, decoding nothing yet, as a `datasets.Dataset`.

    Raises ValueError where there is no such column, or none of images.
    """
    import datasets

    column = _column(table, name, "image_column", "Image")
    try:
        return table.cast_column(column, datasets.Image(decode=False)).select_columns([column])
    except Exception as error:
        raise ValueError(
            f"image_column {column!r} cannot be read as images ({type(error).__name__}); "
            f"name another out of {', '.join(table.column_names)}"
        ) from error


def find_labels(table: Any, name: str | None) -> tuple[list[Any] | None, tuple[str, ...] | None]:
    """Read the labels and the names of their classes, as far as the table has them.

    Taken from the named column, else the first of type ClassLabel, else an integer `label`; None and () where
    there is none. Names are None where only numbers are known.
    """
    if name is None:
        classes = [column for column, f in table.features.items() if type(f).__name__ == "ClassLabel"]
        whole = "label" in table.column_names and "int" in str(getattr(table.features["label"], "dtype", ""))
        if not classes and not whole:
            return None, ()
        name = classes[0] if classes else "label"
    name = _column(table, name, "label_column", "ClassLabel")
    names = getattr(table.features[name], "names", None)
    return list(table.with_format("arrow")[name].to_pylist()), tuple(names) if names else None


def text_column(table: Any, name: str | None) -> str:
    """Find the column of captions, strings or lists of strings: the named one, else the only one there is.

    Raises ValueError where there is no such column, it holds no texts, or several could be meant.
    """
    texts = [str(column) for column, feature in table.features.items() if _is_text(feature)]
    if name is not None:
        name = _column(table, name, "prompt_column", "string")
        if name not in texts:
            raise ValueError(
                f"prompt_column {name!r} holds no texts; columns that do: {', '.join(texts) or 'none'}"
            )
        return name
    if len(texts) != 1:
        found = f"{len(texts)} columns of texts" if texts else "no column of texts"
        raise ValueError(
            f"{found} and no labels to name classes by were found; name one with prompt_column, "
            f"out of {', '.join(texts or table.column_names)}"
        )
    return texts[0]


def _is_text(feature: Any) -> bool:
    inner = getattr(feature, "feature", feature)  # of a list
    return str(getattr(inner, "dtype", "")) in ("string", "large_string", "string_view")


def _parquet(files: list[Path], split: str) -> Any:
    import datasets

    names = [str(file) for file in files]
    try:
        return datasets.load_dataset("parquet", data_files={split: names}, split=split)
    except Exception as error:  # datasets and pyarrow have a dozen kinds
        cause = error.__cause__ or error
        raise ValueError(
            f"data {', '.join(names)} cannot be read as parquet ({type(cause).__name__}: {cause}); "
            "check that the file is whole"
        ) from error


def _column(table: Any, name: str | None, argument: str, kind: str) -> str:
    """Find a column by its name, or the first of a feature type."""
    if name is not None:
        if name not in table.column_names:
            raise ValueError(f"{argument}: {unknown('column', name, table.column_names)}")
        return name
    for column, feature in table.features.items():
        if type(feature).__name__ == kind:
            return str(column)
    raise ValueError(
        f"no column of type {kind} was found; name one with {argument}, "
        f"out of {', '.join(table.column_names)}"
    )
