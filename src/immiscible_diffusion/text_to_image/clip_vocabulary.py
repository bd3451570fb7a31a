"""CLIP's byte-pair vocabulary, from the file that OpenAI publishes, as a tokenizer of transformers."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

TOKENS = 77  # that CLIP reads, both ends included
START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 49152 - 256 - 2  # that CLIP uses of the file's 262,144 lines
SOURCE = "bpe_simple_vocab_16e6.txt.gz of github.com/openai/CLIP (folder clip/)"


def clip_tokenizer(vocabulary: Path) -> Any:
    """Build CLIP's tokenizer (`transformers.CLIPTokenizer`, 49,408 ids, 77 tokens).

    vocabulary: OpenAI's bpe_simple_vocab_16e6.txt.gz (packed or not), or a folder with vocab.json and
    merges.txt. Raises FileNotFoundError where there is none, ValueError for a file of another kind.
    Source: `SimpleTokenizer` of github.com/openai/CLIP.
    """
    from transformers import CLIPTokenizer

    if vocabulary.is_dir():
        ids, merges = _read_folder(vocabulary)
    elif vocabulary.is_file():
        merges = _read_merges(vocabulary)
        ids = _numbered(merges)
    else:
        raise FileNotFoundError(
            f"vocabulary {str(vocabulary)!r} is not there; give the path of {SOURCE}, or of a folder with "
            "vocab.json and merges.txt"
        )
    return CLIPTokenizer(vocab=ids, merges=merges, model_max_length=TOKENS)


def write_vocabulary(tokenizer: Any, folder: Path) -> None:
    """Write vocab.json and merges.txt, which transformers before 5 read in place of tokenizer.json."""
    tokenizer.backend_tokenizer.model.save(str(folder))


def _read_merges(path: Path) -> list[tuple[str, str]]:
    raw = path.read_bytes()
    try:
        lines = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"vocabulary {str(path)!r} cannot be read ({error}); give {SOURCE}") from error
    pairs = [tuple(line.split()) for line in lines[1 : MERGES + 1]]  # the first line is a title
    if len(pairs) < MERGES or any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"vocabulary {str(path)!r} is not CLIP's list of {MERGES:,} or more merges; give {SOURCE}"
        )
    return [(first, second) for first, second in pairs]


def _numbered(merges: list[tuple[str, str]]) -> dict[str, int]:
    symbols = list(_byte_symbols())
    words = [*symbols, *(symbol + "</w>" for symbol in symbols), *("".join(pair) for pair in merges)]
    return {word: number for number, word in enumerate([*words, START, END])}


def _byte_symbols() -> list[str]:
    """Name every byte by a letter, printable ones by themselves, in the order that CLIP numbers them."""
    spans = (("!", "~"), ("¡", "¬"), ("®", "ÿ"))
    printable = [code for first, last in spans for code in range(ord(first), ord(last) + 1)]
    others = 256 - len(printable)
    return [chr(code) for code in printable] + [chr(256 + number) for number in range(others)]


def _read_folder(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    try:
        ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
        pairs = [line.split() for line in lines if line and not line.startswith("#version")]
        if START not in ids or END not in ids:
            raise ValueError(f"{START} or {END} is missing")
        return ids, [(first, second) for first, second in pairs]
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"vocabulary {str(folder)!r} holds no {Path(str(error.filename)).name}; give a folder with "
            f"vocab.json and merges.txt, or the path of {SOURCE}"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"vocabulary {str(folder)!r} does not hold CLIP's vocab.json and merges.txt ({error}); give "
            f"{SOURCE}"
        ) from error
