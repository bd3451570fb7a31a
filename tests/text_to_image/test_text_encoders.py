"""Texts as numbers: CLIP's own ids, and the layout that diffusers reads."""

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from tests.conftest import SHARED
from transformers import CLIPConfig, CLIPModel, CLIPTextModel, CLIPTokenizer

from immiscible_diffusion.text_to_image.clip_vocabulary import START, clip_tokenizer
from immiscible_diffusion.text_to_image.text_encoders import TextEncoder, open_text_encoder

VOCABULARY = SHARED / "weights" / "bpe_simple_vocab_16e6.txt.gz"
pytestmark = pytest.mark.skipif(not VOCABULARY.exists(), reason=f"no vocabulary: {VOCABULARY} is absent")


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return open_text_encoder("clip-untrained:64", vocabulary=VOCABULARY)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("Hello  world!", [3306, 1002, 256]),
        ("a diagram", [320, 22697]),
        ("", []),
    ],
)
def test_texts_become_the_ids_that_clip_gives_them(encoder: TextEncoder, text: str, ids: list[int]) -> None:
    assert encoder.tokenizer(text)["input_ids"] == [49406, *ids, 49407]


def test_real_captions_are_cut_as_the_original_does(encoder: TextEncoder, shared_data: Path) -> None:
    """Against byte-pair encoding written out, the lowest-ranked pair first."""
    import datasets

    merges = gzip.decompress(VOCABULARY.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    ranks = {tuple(line.split()): rank for rank, line in enumerate(merges)}
    ids = encoder.tokenizer.get_vocab()

    def pieces(word: str) -> list[str]:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            rank, at = min((ranks.get(pair, 1 << 30), i) for i, pair in enumerate(itertools.pairwise(parts)))
            if rank == 1 << 30:
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return parts

    file = str(shared_data / "flickr8k_64" / "test.parquet")
    table = datasets.load_dataset("parquet", data_files=file, split="train").select_columns(["captions"])
    captions = [caption for row in table.select(range(60)) for caption in row["captions"]]
    plain = [text for text in captions if text.replace(" ", "").replace(".", "").isalpha() and text.isascii()]
    assert len(plain) > 100
    for text in plain:
        words = text.lower().replace(".", " . ").split()
        wanted = [ids[part] for word in words for part in pieces(word)]
        assert encoder.tokenizer(text)["input_ids"] == [49406, *wanted, 49407], text


def test_embeddings_are_those_of_stable_diffusion(encoder: TextEncoder) -> None:
    texts = ["a photo of a cat", "word " * 200, ""]
    made = encoder(texts)
    assert made.shape == (3, 77, 64) and made.dtype == torch.float32
    assert torch.allclose(made, encoder(texts[:1] + texts[1:]), atol=1e-6)
    given = encoder.tokenizer(texts[0], padding="max_length", max_length=77, return_tensors="pt")
    assert torch.allclose(made[0], encoder.model(given.input_ids)[0][0], atol=1e-5)
    assert encoder.lengths(texts).tolist() == [7, 202, 2]
    assert encoder([]).shape == (0, 77, 64)


def test_the_untrained_one_is_the_same_every_time(encoder: TextEncoder) -> None:
    state = torch.random.get_rng_state()
    again = open_text_encoder("clip-untrained:64", vocabulary=VOCABULARY)
    assert again.fingerprint == encoder.fingerprint and torch.equal(again(["x"]), encoder(["x"]))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert open_text_encoder("clip-untrained:128", vocabulary=VOCABULARY).width == 128


def test_a_saved_encoder_opens_again_and_is_what_diffusers_expects(
    encoder: TextEncoder, tmp_path: Path
) -> None:
    encoder.save(tmp_path)
    for folder in (tmp_path, tmp_path / "both"):
        if folder.name == "both":  # as a CLIP repository has it: all in one folder
            folder.mkdir()
            for file in [*(tmp_path / "text_encoder").iterdir(), *(tmp_path / "tokenizer").iterdir()]:
                (folder / file.name).write_bytes(file.read_bytes())
        opened = open_text_encoder(str(folder))
        assert opened.fingerprint == encoder.fingerprint
        assert torch.equal(opened(["two dogs"]), encoder(["two dogs"]))
    loaded = CLIPTextModel.from_pretrained(tmp_path / "text_encoder")
    assert torch.equal(loaded.state_dict()["final_layer_norm.weight"], torch.ones(64))
    assert CLIPTokenizer.from_pretrained(tmp_path / "tokenizer")("a dog").input_ids == [
        49406,
        320,
        1929,
        49407,
    ]
    # vocab.json and merges.txt are a vocabulary in their own right.
    same = open_text_encoder("clip-untrained:64", vocabulary=tmp_path / "tokenizer")
    assert same.fingerprint == encoder.fingerprint


def test_the_text_half_of_a_whole_clip_opens(encoder: TextEncoder, tmp_path: Path) -> None:
    text = {**encoder.model.config.to_dict(), "num_hidden_layers": 1}
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    clip.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    opened = open_text_encoder(str(tmp_path))
    ids = torch.tensor([encoder.tokenizer("owl", padding="max_length", max_length=77).input_ids])
    assert torch.allclose(opened(["owl"]), clip.eval().text_model(ids)[0], atol=1e-5)


def test_other_weights_are_another_encoder(encoder: TextEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    model = CLIPTextModel.from_pretrained(tmp_path / "text_encoder")
    with torch.no_grad():
        model.final_layer_norm.bias[3] += 1e-3
    model.save_pretrained(tmp_path / "text_encoder")
    assert open_text_encoder(str(tmp_path)).fingerprint != encoder.fingerprint


def test_what_is_no_text_encoder_is_explained(encoder: TextEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    settings = tmp_path / "text_encoder" / "config.json"
    weights = tmp_path / "text_encoder" / "model.safetensors"
    held = settings.read_text()
    settings.write_text(json.dumps({**json.loads(held), "model_type": "t5"}))
    with pytest.raises(ValueError, match="is a 't5' model; give a CLIP"):
        open_text_encoder(str(tmp_path))
    settings.write_text(json.dumps({**json.loads(held), "num_hidden_layers": 3}))
    with pytest.raises(ValueError, match=r"lacks weights, the first is 'encoder\.layers\.2"):
        open_text_encoder(str(tmp_path))
    settings.write_text(held)
    whole = weights.read_bytes()
    weights.write_bytes(whole[:5000])
    with pytest.raises(ValueError, match="does not load"):
        open_text_encoder(str(tmp_path))
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(FileNotFoundError, match="no safetensors weights"):
        open_text_encoder(str(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no readable config\.json"):
        open_text_encoder(str(tmp_path / "empty"))


@pytest.mark.parametrize(
    "name", ["clip-untrained", "clip-untrained:", "clip-untrained:60", "clip-untrained:a"]
)
def test_the_width_is_checked(name: str) -> None:
    with pytest.raises(ValueError, match="must end in its width, a multiple of 64"):
        open_text_encoder(name, vocabulary=VOCABULARY)


def test_the_vocabulary_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"needs CLIP's vocabulary.*bpe_simple_vocab_16e6\.txt\.gz"):
        open_text_encoder("clip-untrained:64")
    with pytest.raises(FileNotFoundError, match="is not there; give the path of bpe_simple"):
        clip_tokenizer(tmp_path / "nowhere.txt.gz")
    with pytest.raises(ValueError, match="leave it out"):
        open_text_encoder("someone/clip", vocabulary=VOCABULARY)
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("title\na b\n")
    with pytest.raises(ValueError, match=r"is not CLIP's list of 48,894"):
        clip_tokenizer(wrong)
    wrong.write_bytes(VOCABULARY.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be read"):
        clip_tokenizer(wrong)
    with pytest.raises(FileNotFoundError, match=r"holds no vocab\.json"):
        clip_tokenizer(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({START: 0}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    with pytest.raises(ValueError, match="is missing"):
        clip_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (GatedRepoError, "is gated; accept its terms at https://huggingface.co/someone/clip and run"),
        (RepositoryNotFoundError, "is not on the hub, or is private; check the name"),
        (None, "could not be had from the hub"),
    ],
)
def test_a_repository_out_of_reach_is_one_sentence(
    failure: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's refusals as its library raises them, and the plain absence of a network."""
    if failure is not None:

        def refuse(*given: object, **named: object) -> None:
            raise failure.__new__(failure)  # its constructor wants an answer of the hub

        monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(FileNotFoundError) as caught:
        open_text_encoder("someone/clip")
    assert words in str(caught.value) and "\n" not in str(caught.value)
    for name in ("clip", "./nowhere", "a/b/c"):
        with pytest.raises(FileNotFoundError, match="is no folder here and no hub name"):
            open_text_encoder(name)
