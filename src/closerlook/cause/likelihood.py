"""`likelihood.parquet`: how likely the base model and every model tuned on the same data find each marked span.

A phrase that came from the instruction data should be likelier under a model that was tuned on them than under their base, after
the same prompt and the same response up to it. The response's tokens outside of its spans are the level to compare with: a tuned
model finds all of its own response likelier.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from closerlook.cause.spans import Response, Span, tokens_of, with_responses
from closerlook.errors import CloserlookError
from closerlook.files import write_parquet
from closerlook.models.load import device, load_base, load_tokenizer, load_tuned
from closerlook.models.logits import Network, body_dtype
from closerlook.models.packed import PACKED, pack, passes
from closerlook.models.text import decode, token_starts
from closerlook.schemas import LIKELIHOOD

BASE = "base"
LOGITS = {"cpu": 6 << 20, "cuda": 64 << 20}
"""Logits that exist at a time."""


class Marked(NamedTuple):
    """Tokens of a response: a span's, or (without start and end) those outside of all of its spans."""

    start: int | None
    end: int | None
    places: list[int]


def span_likelihood(
    base: Path,
    tuned: Mapping[str, Path],
    responses: Path,
    spans: Path,
    out: Path,
    precision: str = "auto",
    gpus: int = 1,
) -> None:
    """Write LIKELIHOOD: of each span, and of the other tokens of its response, under `base` and each model of `tuned` by name.

    Raises CloserlookError for responses or spans that do not fit each other or the models, and for logits that are not finite.
    """
    tokenizer, where = load_tokenizer(base), device(gpus)
    answers, marked = [], []
    for response, spans_of_it in with_responses(spans, responses, ("prompt_token_ids", "token_ids")):
        answers.append(response)
        marked.append(list(marks(response, spans_of_it, tokenizer)))
    rows: list[list[dict[str, Any]]] = [[] for _ in answers]
    for name, folder in {BASE: None, **tuned}.items():
        dtype = body_dtype(precision, where)
        network = Network(
            load_tuned(base, folder, where, dtype, PACKED, gpus)
            if folder
            else load_base(base, where, dtype, PACKED, gpus)
        )
        network.check()
        found = log_probs(network, tqdm(answers, desc=name, unit=" responses"))
        for response, parts, rows_of_it, values in zip(answers, marked, rows, found, strict=True):
            if not values.isfinite().all():
                raise CloserlookError(
                    f"response {response['id']}: the logits of {name} are not finite; did its training diverge?"
                )
            for start, end, places in parts:
                value = values[places].sum().item()
                row = {"id": response["id"], "start": start, "end": end, "model": name}
                rows_of_it.append(row | {"tokens": len(places), "log_prob": value})
    write_parquet(list(chain.from_iterable(rows)), LIKELIHOOD, out)


def marks(response: Response, spans: list[Span], tokenizer: PreTrainedTokenizerBase) -> Iterator[Marked]:
    """The tokens of each span of a response, and those of no span. Raises CloserlookError where the text is not the tokens'."""
    ids = response["token_ids"]
    if decode(tokenizer, ids) != response["text"]:
        raise CloserlookError(
            f"response {response['id']}: its text is not its token_ids decoded, so no span has tokens; generate it again"
        )
    starts, length = token_starts(tokenizer, ids), len(response["text"])
    rest = set(range(len(ids)))
    for span in spans:
        places = tokens_of(starts, length, span.start, span.end)
        rest -= set(places)
        yield Marked(span.start, span.end, list(places))
    yield Marked(None, None, sorted(rest))


@torch.inference_mode()
def log_probs(network: Network, responses: Iterable[Response]) -> Iterator[Tensor]:
    """Log-probability in nats of each token of each response, (tokens,) float64, after the prompt and the tokens before it."""
    for batch in passes(responses):
        sequences = [row["prompt_token_ids"] + row["token_ids"] for row in batch]
        for row, sequence in zip(batch, sequences, strict=True):
            if not row["prompt_token_ids"] or max(sequence) >= network.vocabulary:
                raise CloserlookError(
                    f"response {row['id']}: expected a prompt, and tokens below {network.vocabulary}, the size of the vocabulary"
                )
        ends = torch.tensor([len(sequence) for sequence in sequences]).cumsum(0).tolist()
        lengths = [len(row["token_ids"]) for row in batch]
        places = torch.cat([torch.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)])
        inputs = pack(sequences, network.device)
        hidden = network.hidden(**inputs)[
            0, places.to(network.device) - 1
        ]  # a token is predicted from the one before it
        targets = inputs["input_ids"][0, places.to(network.device)]
        rows = max(1, LOGITS[network.device.type] // network.vocabulary)
        pieces = [
            torch.log_softmax(network.logits(h), -1).gather(-1, t[:, None])[:, 0]
            for h, t in zip(hidden.split(rows), targets.split(rows), strict=True)
        ]
        yield from torch.cat([targets.new_empty(0, dtype=torch.float32), *pieces]).double().cpu().split(lengths)
