"""`attribution.parquet`: the instances whose gradients speak most for each marked span, as one more ranker.

Influence functions (Koh & Liang 2017) with an eigenvalue-corrected Kronecker-factored curvature (EK-FAC; Grosse et al. 2023), by
the library kronfluence: an instance's score is how much its training raised the log-probability of the span, to first order. Of
three libraries kronfluence 1.0 was chosen. It works layer by layer from activations and output gradients, so that neither
per-instance gradients of the whole model nor a projection of them are stored, takes adapters as it takes full weights, and has
the curvature without which gradients that all instances share hide what sets one apart. dattri 0.3 works out every span's
gradient again for each batch of instances, over the whole model or a random projection. bergson 2.5 needs torchvision and
torchaudio; kronfluence says that it needs torchvision but never imports it, so it is installed without its dependencies.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from closerlook.causal.likelihood import marks
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import ATTRIBUTION, INSTANCES
from closerlook.data.instances import read_as
from closerlook.data.prompts import encode_prompt, encode_response, read_template
from closerlook.models.load import device, load_tokenizer, load_tuned
from closerlook.spans.located import Span, with_responses

try:
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task
    from kronfluence.utils.dataset import DataLoaderKwargs
except ImportError as error:
    raise CloserlookError(
        f"gradient attribution needs kronfluence ({error}): pip install --no-deps kronfluence==1.0.1"
    ) from None

logger = logging.getLogger(__name__)

Example = dict[str, Tensor]
"""tokens (n,) int64; targets (n,) int64, the next token where it counts and IGNORED elsewhere."""
IGNORED = -100
LOGITS = 64 << 20
"""Logits of one batch: 256 MB."""
GRADIENTS = 128 << 20
"""Numbers that the gradients of one batch of spans may take: 512 MB."""


def attribute(
    base: Path, tuned: Path, data: Path, template: Path, responses: Path, spans: Path, top: int, out: Path
) -> None:
    """Write ATTRIBUTION: of each span in `spans` the `top` instances of `data` (INSTANCES) that speak most for it, best first.

    tuned: the model that was trained on `data` with `template` and gave the responses. Instances that the model's context
    has no room for are left out. Raises CloserlookError where spans and responses, or the models, do not fit.
    """
    tokenizer = load_tokenizer(base)
    model = load_tuned(base, tuned, device())
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 1 << 30
    instances = read_as(INSTANCES, data)
    trained = trained_on(instances.to_pylist(), tokenizer, read_template(template), context)
    asked: list[tuple[Span, Example]] = []
    for response, found in with_responses(spans, responses, ("prompt_token_ids", "token_ids")):
        tokens = response["prompt_token_ids"] + response["token_ids"]
        for span, mark in zip(found, marks(response, found, tokenizer), strict=False):
            if mark.places and len(tokens) <= context:
                places = [len(response["prompt_token_ids"]) + place for place in mark.places]
                asked.append((span, example(tokens, places)))
    rows: list[dict[str, Any]] = []
    if asked and trained:
        ids, examples = list(trained), list(trained.values())
        scores = influence(model, examples, [one for _, one in asked])
        for (span, _), values in zip(asked, scores, strict=True):
            best = np.argsort(-values, kind="stable")[:top]
            rows += [
                {**span._asdict(), "instance": ids[place], "score": values[place], "rank": rank}
                for rank, place in enumerate(best.tolist(), 1)
            ]
    write_parquet(rows, ATTRIBUTION, out)


def trained_on(
    rows: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, template: str, context: int
) -> dict[str, Example]:
    """What each instance trains, by its id: the response and its end; cut to the context as in training."""
    found = {}
    for row in rows:
        prompt = encode_prompt(tokenizer, template, row["instruction"])
        tokens = (prompt + encode_response(tokenizer, row["response"]))[:context]
        if len(prompt) < len(tokens):
            found[row["id"]] = example(tokens, range(max(1, len(prompt)), len(tokens)))
    return found


def example(tokens: Sequence[int], places: Sequence[int]) -> Example:
    """A sequence, and as targets its tokens at `places` (none of them 0), each at the place that predicts it."""
    every = torch.tensor(tokens)
    targets = torch.full_like(every, IGNORED)
    chosen = torch.tensor(places)
    targets[chosen - 1] = every[chosen]
    return {"tokens": every, "targets": targets}


def influence(
    model: PreTrainedModel | PeftModel,
    trained: Sequence[Example],
    asked: Sequence[Example],
    strategy: Literal["ekfac", "identity"] = "ekfac",
) -> np.ndarray:
    """How much training on each example raised the log-probability of each that is asked for: (asked, trained) float32.

    strategy: the curvature that gradients are divided by; identity is none, a mere dot product. The model's linear layers
    count, or its adapters alone where it has some; not its head, whose curvature is as large as the vocabulary squared.
    `model` can be used for nothing else afterwards.
    """
    names = _layers(model)
    if not names:
        raise CloserlookError(
            f"{type(model).__name__} has no linear layers (torch.nn.Linear), which attribution looks at"
        )
    size = sum(cast(nn.Linear, model.get_submodule(name)).weight.numel() for name in names)
    task = _Task(names)
    vocabulary = model.config.get_text_config().vocab_size
    longest = max(len(one["tokens"]) for one in (*trained, *asked))
    at_once = max(1, min(64, LOGITS // (vocabulary * longest)))
    order = sorted(range(len(trained)), key=lambda place: len(trained[place]["tokens"]))  # batches with little padding
    in_order = [trained[place] for place in order]
    torch.manual_seed(0)  # the curvature is that of tokens drawn from the model
    with TemporaryDirectory() as folder:
        analyzer = Analyzer(
            "spans",
            prepare_model(model, task),
            task,
            cpu=model.device.type == "cpu",
            output_dir=folder,
            log_level=logging.WARNING,
        )
        analyzer.set_dataloader_kwargs(DataLoaderKwargs(collate_fn=_padded))
        analyzer.fit_all_factors("factors", in_order, at_once, factor_args=FactorArguments(strategy))  # type: ignore[arg-type]
        analyzer.compute_pairwise_scores(
            "scores",
            "factors",
            list(asked),  # type: ignore[arg-type]
            in_order,  # type: ignore[arg-type]
            per_device_query_batch_size=max(1, min(at_once, GRADIENTS // size)),
            per_device_train_batch_size=at_once,
            score_args=ScoreArguments(query_gradient_accumulation_steps=max(1, GRADIENTS // (size * at_once))),
        )
        found = analyzer.load_pairwise_scores("scores")["all_modules"]
    scores = np.empty((len(asked), len(trained)), dtype=np.float32)
    scores[:, order] = found.float().cpu().numpy()
    return scores


def _layers(model: PreTrainedModel | PeftModel) -> list[str]:
    """Names of the layers whose gradients count."""
    head = model.get_output_embeddings()
    names = [name for name, module in model.named_modules() if type(module) is nn.Linear and module is not head]
    return [name for name in names if "lora_" in name] if isinstance(model, PeftModel) else names


def _padded(examples: list[Example]) -> Example:
    tokens = pad_sequence([one["tokens"] for one in examples], batch_first=True)
    targets = pad_sequence([one["targets"] for one in examples], batch_first=True, padding_value=IGNORED)
    lengths = torch.tensor([len(one["tokens"]) for one in examples])
    return {"tokens": tokens, "targets": targets, "mask": (torch.arange(tokens.shape[1]) < lengths[:, None]).long()}


class _Task(Task):
    """The loss of instances, and as what is measured the loss of spans: so that scores above 0 speak for a span."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def get_influence_tracked_modules(self) -> list[str]:
        return self._names

    def get_attention_mask(self, batch: Any) -> Tensor:
        return batch["mask"]

    def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> Tensor:
        """Summed cross entropy of the targets, or of tokens drawn from the model in their places."""
        logits = (
            model(input_ids=batch["tokens"], attention_mask=batch["mask"], use_cache=False).logits.float().flatten(0, 1)
        )
        targets = batch["targets"].flatten()
        if sample:
            drawn = torch.multinomial(logits.detach().softmax(-1), 1)[:, 0]
            targets = torch.where(targets == IGNORED, IGNORED, drawn)
        return cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")

    def compute_measurement(self, batch: Any, model: nn.Module) -> Tensor:
        """Summed cross entropy of the spans' tokens."""
        return self.compute_train_loss(batch, model)
