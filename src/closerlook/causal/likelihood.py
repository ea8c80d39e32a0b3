"""`likelihood.parquet`: how likely the base model and every model tuned on the same data find each marked span.

A phrase that came from the instruction data should be likelier under a model that was tuned on them than under their base, after
the same prompt and the same response up to it. The response's tokens outside of its spans are the level to compare with: a tuned
model finds all of its own response likelier.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from closerlook.core.errors import CloserlookError
from closerlook.core.files import sha256
from closerlook.core.fingerprint import fingerprint
from closerlook.core.resumable import Progress, Rows, in_parts
from closerlook.core.schemas import LIKELIHOOD
from closerlook.models.load import device, load_base, load_tokenizer, load_tuned
from closerlook.models.logits import Network, body_dtype
from closerlook.models.packed import PACKED, pack, passes
from closerlook.models.token_text import decode, token_starts
from closerlook.spans.located import Response, Span, tokens_of, with_responses

BASE = "base"
LOGITS = {"cpu": 6 << 20, "cuda": 64 << 20}
"""Logits that exist at a time."""


PART = 64
"""Responses per part: what a kill can cost."""


class Marked(NamedTuple):
    """Tokens of a response: a span's, or (without start and end) those outside of all of its spans."""

    start: int | None
    end: int | None
    places: list[int]


class Asked(NamedTuple):
    """A row of the table before its value is known: the model, the number of the response, and tokens of it."""

    model: str
    response: int
    marked: Marked


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

    Goes on where it stopped. Raises CloserlookError for responses or spans that do not fit each other or the models, and for
    logits that are not finite.
    """
    tokenizer, where = load_tokenizer(base), device(gpus)
    dtype = body_dtype(precision, where)
    if BASE in tuned:
        raise CloserlookError(f"--models: found the name {BASE}, expected one that does not stand for the base model")
    folders: dict[str, Path | None] = {BASE: None, **tuned}
    answers: list[Response] = []
    asked: list[Asked] = []
    for response, spans_of_it in with_responses(spans, responses, ("prompt_token_ids", "token_ids")):
        found = list(marks(response, spans_of_it, tokenizer))
        asked += [Asked(name, len(answers), one) for name in folders for one in found]
        answers.append(response)
    loaded: dict[str, Network] = {}

    def network(name: str) -> Network:
        if name not in loaded:
            loaded.clear()  # before the next one comes: two may not fit
            folder = folders[name]
            loaded[name] = Network(
                load_tuned(base, folder, where, dtype, PACKED, gpus)
                if folder
                else load_base(base, where, dtype, PACKED, gpus)
            )
            loaded[name].check()
        return loaded[name]

    def measure(part: list[int], progress: Progress) -> Rows:
        name = asked[part[0]].model
        numbers = list(dict.fromkeys(asked[row].response for row in part))
        values = dict(zip(numbers, log_probs(network(name), [answers[n] for n in numbers]), strict=True))
        rows = []
        for _, number, (start, end, places) in (asked[row] for row in part):
            id_, logs = answers[number]["id"], values[number]
            if not logs.isfinite().all():
                raise CloserlookError(f"response {id_}: the logits of {name} are not finite; did its training diverge?")
            of = {"id": id_, "start": start, "end": end, "model": name, "tokens": len(places)}
            rows.append(of | {"log_prob": logs[places].sum().item()})
            progress.finished(len(places))
        return rows

    parts = defaultdict(list)
    for row, (name, number, _) in enumerate(asked):
        parts[name, number // PART].append(row)
    in_order = [part for model in folders for (name, _), part in parts.items() if name == model]  # each is loaded once
    what: dict[str, Any] = {
        "models": {name: sha256(folder or base) for name, folder in folders.items()},
        "dtype": dtype,
    }
    what |= {"spans": sha256(spans), "responses": sha256(responses), "device": where.type, "part": PART}
    what |= {"torch": torch.__version__, "transformers": transformers.__version__}
    in_parts(in_order, measure, LIKELIHOOD, out, fingerprint(**what), unit="spans")


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
