"""`likelihood.parquet`: the log-probability of each marked span under the base model and every model tuned on the same data.

A phrase from the instruction data should be more likely under a model tuned on them than under its base, given the same prompt
and preceding response. The response's tokens outside of its spans serve as a reference, since a tuned model assigns all of its
own response a higher probability.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from closerlook.config.catalog import BATCH_TOKENS
from closerlook.core.errors import CloserlookError
from closerlook.core.files import sha256
from closerlook.core.fingerprint import fingerprint
from closerlook.core.resumable import Progress, Row, compute_in_parts
from closerlook.core.schemas import BASE, LIKELIHOOD
from closerlook.models.device import device, rounding_facts
from closerlook.models.load import load_base, load_tokenizer, load_tuned
from closerlook.models.logits import Network
from closerlook.models.packed import PACKED, pack, packed_batches
from closerlook.models.pass_limits import PassLimits, pass_limits
from closerlook.models.precision import exact_dtype
from closerlook.models.token_text import decode, token_starts
from closerlook.spans.inputs import ResponseRow, Span, read_marked_responses, token_range

PART = 64
"""Responses per part, the work that an interruption can lose."""


class TokenGroup(NamedTuple):
    """Tokens of a response: those of a span, or (start and end None) those outside of all spans."""

    start: int | None
    end: int | None
    positions: list[int]


class Query(NamedTuple):
    """A row of the table to be measured: the model, the index of the response, and its tokens."""

    model: str
    response: int
    tokens: TokenGroup


def span_likelihood(
    base: Path,
    tuned: Mapping[str, Path],
    responses: Path,
    spans: Path,
    out: Path,
    precision: str = "auto",
    gpus: int = 1,
    batch_tokens: int = BATCH_TOKENS,
) -> None:
    """Write LIKELIHOOD: of each span, and of the other tokens of its response, under `base` and each model of `tuned` by name.

    batch_tokens: most tokens of a pass (closerlook.models.pass_limits); with fewer, it needs less memory.
    Resumes where it stopped. Raises CloserlookError for responses or spans that do not match each other or the models, and for
    logits that are not finite.
    """
    tokenizer, target = load_tokenizer(base), device(gpus)
    dtype, limits = exact_dtype(precision, target), pass_limits(batch_tokens, target)
    if BASE in tuned:
        raise CloserlookError(
            f"--models: found the name {BASE}, which is reserved for the base model; expected another"
        )
    folders: dict[str, Path | None] = {BASE: None, **tuned}
    answers: list[ResponseRow] = []
    queries: list[Query] = []
    for response, response_spans in read_marked_responses(spans, responses, ("prompt_token_ids", "token_ids")):
        groups = list(token_groups(response, response_spans, tokenizer))
        queries += [Query(name, len(answers), group) for name in folders for group in groups]
        answers.append(response)
    loaded: dict[str, Network] = {}

    def network(name: str) -> Network:
        if name not in loaded:
            loaded.clear()  # before loading the next: two may not fit into memory
            folder = folders[name]
            loaded[name] = Network(
                load_tuned(base, folder, target, dtype, PACKED, gpus)
                if folder
                else load_base(base, target, dtype, PACKED, gpus)
            )
            loaded[name].check()
        return loaded[name]

    def measure(parts: list[list[int]], progress: Progress) -> Iterator[tuple[int, Row]]:
        for part in parts:
            name = queries[part[0]].model
            numbers = list(dict.fromkeys(queries[row].response for row in part))
            values = dict(zip(numbers, log_probs(network(name), [answers[n] for n in numbers], limits), strict=True))
            for row in part:
                _, number, (start, end, positions) = queries[row]
                id_, logs = answers[number]["id"], values[number]
                if not logs.isfinite().all():
                    raise CloserlookError(
                        f"response {id_}: the logits of {name} are not finite; did its training diverge?"
                    )
                key = {"id": id_, "start": start, "end": end, "model": name, "tokens": len(positions)}
                progress.advance(len(positions))
                yield row, key | {"log_prob": logs[positions].sum().item()}

    parts = defaultdict(list)
    for row, (name, number, _) in enumerate(queries):
        parts[name, number // PART].append(row)
    model_parts = [
        part for model in folders for (name, _), part in parts.items() if name == model
    ]  # each is loaded once
    inputs: dict[str, Any] = {
        "models": {name: sha256(folder or base) for name, folder in folders.items()},
        "dtype": dtype,
    }
    inputs |= {"spans": sha256(spans), "responses": sha256(responses), "part": PART}
    inputs |= rounding_facts(target)
    compute_in_parts(model_parts, measure, LIKELIHOOD, out, fingerprint(**inputs), unit="spans")


def token_groups(response: ResponseRow, spans: list[Span], tokenizer: PreTrainedTokenizerBase) -> Iterator[TokenGroup]:
    """The tokens of each span of a response, then the others. Raises CloserlookError if the text is not the decoded tokens."""
    ids = response["token_ids"]
    if decode(tokenizer, ids) != response["text"]:
        raise CloserlookError(
            f"response {response['id']}: its text is not its decoded token_ids, so its spans have no tokens; generate it again"
        )
    starts, length = token_starts(tokenizer, ids), len(response["text"])
    rest = set(range(len(ids)))
    for span in spans:
        positions = token_range(starts, length, span.start, span.end)
        rest -= set(positions)
        yield TokenGroup(span.start, span.end, list(positions))
    yield TokenGroup(None, None, sorted(rest))


@torch.inference_mode()
def log_probs(network: Network, responses: Iterable[ResponseRow], limits: PassLimits) -> Iterator[Tensor]:
    """Log-probability in nats of each token of each response, (tokens,) float64, given the prompt and the tokens before it."""
    for batch in packed_batches(responses, limits.tokens):
        sequences = [row["prompt_token_ids"] + row["token_ids"] for row in batch]
        for row, sequence in zip(batch, sequences, strict=True):
            if not row["prompt_token_ids"] or max(sequence) >= network.vocabulary:
                raise CloserlookError(
                    f"response {row['id']}: expected a prompt, and tokens below {network.vocabulary}, the size of the vocabulary"
                )
        ends = torch.tensor([len(sequence) for sequence in sequences]).cumsum(0).tolist()
        lengths = [len(row["token_ids"]) for row in batch]
        positions = torch.cat([torch.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)])
        inputs = pack(sequences, network.device)
        positions = positions.to(network.device)
        hidden = network.hidden(**inputs)[0, positions - 1]  # a token is predicted at the position before it
        targets = inputs["input_ids"][0, positions]
        yield from network.log_probs(hidden, targets, limits.logits)[0].double().cpu().split(lengths)
