"""The most frequent tokens: counts against a Counter, texts against what tokens add to a text."""

from collections import Counter
from pathlib import Path

import pytest
from tests.support.synthetic import WORDS, Folder, random_shift, shift_row
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from closerlook.core.files import write_parquet
from closerlook.core.schemas import SHIFT
from closerlook.report.tables.tokens import MOST, measure_top_tokens, text_of
from closerlook.stats.bootstrap import Estimate


@pytest.fixture
def model(folder: Folder) -> Path:
    folder.tokenizer()
    return folder.path / "models" / "tiny"


def test_counts_shares_and_order(folder: Folder, model: Path, tmp_path: Path) -> None:
    rows = random_shift(5, 50, scale=3, vocabulary=200)
    write_parquet(rows, SHIFT, tmp_path / "shift.parquet")
    measured = list(measure_top_tokens(tmp_path / "shift.parquet", model))
    tokenizer = folder.tokenizer()
    for class_ in ("shifted", "marginal"):
        positions = [
            (i, id_)
            for i, row in enumerate(rows)
            for id_, c in zip(row["token_ids"], row["class"], strict=True)
            if c == class_
        ]
        counts = Counter(id_ for _, id_ in positions)
        expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST]
        found = [(keys, metric, estimate) for keys, metric, estimate in measured if keys["class"] == class_]
        assert [keys["rank"] for keys, metric, _ in found if metric == "count"] == list(range(1, len(expected) + 1))
        for (id_, count), (keys, _, counted), (_, _, share) in zip(expected, found[::2], found[1::2], strict=True):
            assert keys["token"] == text_of(tokenizer, id_)
            assert counted.value == count
            assert share.value == pytest.approx(count / len(positions), rel=1e-12)
            assert share.low <= share.value <= share.high
            assert counted.n == share.n == len({i for i, _ in positions})
            assert share.n + share.n_null == len(rows)


def test_at_most_125(folder: Folder, model: Path, tmp_path: Path) -> None:
    row = shift_row("a", token_ids=list(range(200)), base_rank=[9] * 200)
    write_parquet([row], SHIFT, tmp_path / "shift.parquet")
    measured = [
        (keys, estimate)
        for keys, metric, estimate in measure_top_tokens(tmp_path / "shift.parquet", model)
        if metric == "count"
    ]
    assert len(measured) == MOST + 1  # and one row to say that there is no marginal position
    assert measured[-1] == ({"class": "marginal"}, Estimate(0.0, n=0, n_null=1))
    assert measured[0][0]["token"] == text_of(folder.tokenizer(), 0)


def test_text_of_byte_level(folder: Folder) -> None:
    tokenizer = folder.tokenizer()
    texts = {word: text_of(tokenizer, tokenizer.convert_tokens_to_ids(word)) for word in [*WORDS, "</s>", "Ā"]}
    assert texts["Ġthe"] == " the"
    assert texts["The"] == "The"
    assert texts["Ċ"] == "\n"
    assert texts["Ġ"] == " "
    assert texts["ðŁĺĢ"] == "😀"
    assert texts["ðŁĺ"] == "ðŁĺ"  # three of an emoji's four bytes are no text
    assert texts["Ã©"] == "é"
    assert texts["</s>"] == "</s>"
    assert texts["Ā"] == "Ā"  # the byte 0, which no table should hold


def test_text_of_sentencepiece_keeps_the_space() -> None:
    words = {"<unk>": 0, "</s>": 1, "▁the": 2, "the": 3, "▁": 4, "<0x0A>": 5, "<0xE2>": 6, "▁▁": 7, ",": 8}
    core = Tokenizer(models.BPE(vocab=words, merges=[], unk_token="<unk>", byte_fallback=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]  # as Llama 2 decodes
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", unk_token="<unk>")
    texts = {word: text_of(tokenizer, id_) for word, id_ in words.items()}
    assert texts == {
        "<unk>": "<unk>",
        "</s>": "</s>",
        "▁the": " the",
        "the": "the",
        "▁": " ",
        "<0x0A>": "\n",
        "<0xE2>": "<0xE2>",
        "▁▁": "  ",
        ",": ",",
    }
