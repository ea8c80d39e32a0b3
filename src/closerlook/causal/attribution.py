"""`attribution.parquet`: the instances with the largest influence on each marked span, as one more ranker.

Influence functions (Koh & Liang 2017) with an eigenvalue-corrected Kronecker-factored curvature (EK-FAC; Grosse et al. 2023), by
the library kronfluence. An instance's score estimates, to first order, by how much training on it raised the log-probability of
the span. kronfluence works layer by layer from activations and output gradients, so it stores no per-instance gradients of the
whole model, and it supports adapters. Without the curvature, gradients that all instances share hide their differences.
Alternatives: dattri 0.3 recomputes each span's gradient for every batch of instances; bergson 2.5 needs torchvision and
torchaudio. kronfluence declares torchvision but does not import it, so it is installed without its dependencies.
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

from closerlook.causal.likelihood import token_groups
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import ATTRIBUTION, INSTANCES
from closerlook.data.instances import read_as
from closerlook.data.prompts import encode_prompt, encode_response, read_template
from closerlook.models.device import device
from closerlook.models.load import load_tokenizer, load_tuned
from closerlook.spans.inputs import Span, read_marked_responses

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
"""tokens (n,) int64; targets (n,) int64: the next token, or IGNORED where it does not count."""
IGNORED = -100
LOGITS = 64 << 20
"""Most logits of one batch: 256 MB."""
GRADIENTS = 128 << 20
"""Most gradient entries of one batch of spans: 512 MB."""


def attribute(
    base: Path, tuned: Path, data: Path, template: Path, responses: Path, spans: Path, top: int, out: Path
) -> None:
    """Write ATTRIBUTION: for each span in `spans`, the `top` instances of `data` (INSTANCES) of the largest influence.

    tuned: the model that was trained on `data` with `template` and generated the responses. Instances whose prompt fills the
    model's context are left out. Raises CloserlookError if spans and responses, or the models, do not match.
    """
    tokenizer = load_tokenizer(base)
    model = load_tuned(base, tuned, device())
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 1 << 30
    instances = read_as(INSTANCES, data)
    trained = training_examples(instances.to_pylist(), tokenizer, read_template(template), context)
    queries: list[tuple[Span, Example]] = []
    for response, response_spans in read_marked_responses(spans, responses, ("prompt_token_ids", "token_ids")):
        tokens = response["prompt_token_ids"] + response["token_ids"]
        for span, group in zip(response_spans, token_groups(response, response_spans, tokenizer), strict=False):
            if group.positions and len(tokens) <= context:
                positions = [len(response["prompt_token_ids"]) + position for position in group.positions]
                queries.append((span, make_example(tokens, positions)))
    rows: list[dict[str, Any]] = []
    if queries and trained:
        ids, examples = list(trained), list(trained.values())
        scores = influence(model, examples, [example for _, example in queries])
        for (span, _), values in zip(queries, scores, strict=True):
            best = np.argsort(-values, kind="stable")[:top]
            rows += [
                {**span._asdict(), "instance": ids[number], "score": values[number], "rank": rank}
                for rank, number in enumerate(best.tolist(), 1)
            ]
    write_parquet(rows, ATTRIBUTION, out)


def training_examples(
    rows: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, template: str, context: int
) -> dict[str, Example]:
    """The training example of each instance by id, cut to the context as in training. Targets are the response and its end."""
    examples = {}
    for row in rows:
        prompt = encode_prompt(tokenizer, template, row["instruction"])
        tokens = (prompt + encode_response(tokenizer, row["response"]))[:context]
        if len(prompt) < len(tokens):
            examples[row["id"]] = make_example(tokens, range(max(1, len(prompt)), len(tokens)))
    return examples


def make_example(tokens: Sequence[int], positions: Sequence[int]) -> Example:
    """A sequence whose targets are its tokens at `positions` (none of them 0), each at the position that predicts it."""
    sequence = torch.tensor(tokens)
    targets = torch.full_like(sequence, IGNORED)
    chosen = torch.tensor(positions)
    targets[chosen - 1] = sequence[chosen]
    return {"tokens": sequence, "targets": targets}


def influence(
    model: PreTrainedModel | PeftModel,
    trained: Sequence[Example],
    queries: Sequence[Example],
    strategy: Literal["ekfac", "identity"] = "ekfac",
) -> np.ndarray:
    """By how much training on each example raised the log-probability of each query: (queries, trained) float32.

    strategy: the curvature that gradients are divided by; identity is the plain dot product. The model's linear layers count, or
    only its adapters if it has any, but not its head, whose curvature is as large as the vocabulary squared. `model` cannot be
    used for anything else afterwards.
    """
    names = _layers(model)
    if not names:
        raise CloserlookError(
            f"{type(model).__name__}: found no linear layers (torch.nn.Linear), which attribution needs"
        )
    size = sum(cast(nn.Linear, model.get_submodule(name)).weight.numel() for name in names)
    task = _Task(names)
    vocabulary = model.config.get_text_config().vocab_size
    longest = max(len(example["tokens"]) for example in (*trained, *queries))
    batch_size = max(1, min(64, LOGITS // (vocabulary * longest)))
    order = sorted(range(len(trained)), key=lambda i: len(trained[i]["tokens"]))  # for batches with little padding
    sorted_examples = [trained[i] for i in order]
    torch.manual_seed(0)  # the curvature is estimated on tokens drawn from the model
    with TemporaryDirectory() as folder:
        analyzer = Analyzer(
            "spans",
            prepare_model(model, task),
            task,
            cpu=model.device.type == "cpu",
            output_dir=folder,
            log_level=logging.WARNING,
        )
        analyzer.set_dataloader_kwargs(DataLoaderKwargs(collate_fn=_collate))
        analyzer.fit_all_factors("factors", sorted_examples, batch_size, factor_args=FactorArguments(strategy))
        analyzer.compute_pairwise_scores(
            "scores",
            "factors",
            list(queries),
            sorted_examples,
            per_device_query_batch_size=max(1, min(batch_size, GRADIENTS // size)),
            per_device_train_batch_size=batch_size,
            score_args=ScoreArguments(query_gradient_accumulation_steps=max(1, GRADIENTS // (size * batch_size))),
        )
        pairwise = analyzer.load_pairwise_scores("scores")["all_modules"]
    scores = np.empty((len(queries), len(trained)), dtype=np.float32)
    scores[:, order] = pairwise.float().cpu().numpy()
    return scores


def _layers(model: PreTrainedModel | PeftModel) -> list[str]:
    """Names of the layers whose gradients count."""
    head = model.get_output_embeddings()
    names = [name for name, module in model.named_modules() if type(module) is nn.Linear and module is not head]
    return [name for name in names if "lora_" in name] if isinstance(model, PeftModel) else names


def _collate(examples: list[Example]) -> Example:
    tokens = pad_sequence([example["tokens"] for example in examples], batch_first=True)
    targets = pad_sequence([example["targets"] for example in examples], batch_first=True, padding_value=IGNORED)
    lengths = torch.tensor([len(example["tokens"]) for example in examples])
    return {"tokens": tokens, "targets": targets, "mask": (torch.arange(tokens.shape[1]) < lengths[:, None]).long()}


class _Task(Task):
    """The loss of instances, and the loss of spans as measurement: a score above 0 means that training made a span likelier."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def get_influence_tracked_modules(self) -> list[str]:
        return self._names

    def get_attention_mask(self, batch: Any) -> Tensor:
        return batch["mask"]

    def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> Tensor:
        """Summed cross entropy of the targets, or of tokens drawn from the model at their positions."""
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
