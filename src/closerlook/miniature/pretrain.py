"""Pre-train the miniature's base model, a Llama with less than a million parameters that memorizes the world.

A single loop in the style of nanoGPT. It takes about a minute on a CPU and is deterministic.
"""

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from closerlook.config.settings import PretrainSettings
from closerlook.core.errors import CloserlookError
from closerlook.data.prompts import encode_prompt
from closerlook.miniature.claims import grade_answer
from closerlook.miniature.language import ATTRIBUTES, questions
from closerlook.miniature.world import World

MINIMUM_ACCURACY = 0.9
"""Least cloze accuracy of the base model, since tuning can only damage what the model knows."""


def new_model(settings: PretrainSettings, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained Llama with biases in attention and feed-forward layers, and tied embeddings."""
    torch.manual_seed(settings.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.hidden_size,
            intermediate_size=settings.intermediate_size,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            max_position_embeddings=1024,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def batches(documents: list[str], tokenizer: PreTrainedTokenizerFast, settings: PretrainSettings) -> Iterator[Tensor]:
    """An endless stream of batches, (rows, row_length + 1) int64, of the concatenated documents, shuffled in each epoch."""
    ids = [[*tokens, tokenizer.eos_token_id] for tokens in tokenizer(documents)["input_ids"]]  # tokens begin with BOS
    generator = torch.Generator().manual_seed(settings.seed)
    size = settings.rows * (settings.row_length + 1)
    stream: list[int] = []
    while True:
        for index in torch.randperm(len(ids), generator=generator).tolist():
            stream += ids[index]
            while len(stream) >= size:
                yield torch.tensor(stream[:size]).view(settings.rows, -1)
                del stream[:size]


def learning_rate(step: int, settings: PretrainSettings) -> float:
    """Linear warmup over the first tenth of the steps, then a cosine to a tenth of the peak."""
    warmup = max(1, settings.steps // 10)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, settings.steps - warmup)
    return settings.learning_rate * (0.55 + 0.45 * math.cos(math.pi * progress))


def pretrain(
    documents: list[str], tokenizer: PreTrainedTokenizerFast, settings: PretrainSettings
) -> tuple[LlamaForCausalLM, list[dict[str, float]]]:
    """Train a new model. Returns it in evaluation mode, and a log row per step: loss in nats per token, learning rate."""
    model = new_model(settings, tokenizer).train()
    optimizers = _optimizers(model)
    log = []
    steps = tqdm(range(settings.steps), desc="pretrain", mininterval=2)
    for step, batch in zip(steps, batches(documents, tokenizer, settings), strict=False):
        rate = learning_rate(step, settings)
        logits = model(batch[:, :-1], use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()
        log.append({"step": step + 1, "loss": round(loss.item(), 4), "learning_rate": rate})
        steps.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return model.eval(), log


def _optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, which needs about half the steps; AdamW for all other parameters."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if not any(p is matrix for matrix in matrices)]
    return [
        torch.optim.Muon(matrices, momentum=0.95, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, betas=(0.9, 0.95), weight_decay=0.01, fused=True),
    ]


@torch.inference_mode()
def cloze_accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, world: World) -> float:
    """Share of known facts, in each predicate of the attribute, whose value is the most likely next word, 0 to 1."""
    known = [fact for entity in world.entities if entity.known for fact in entity.facts]
    hits = []
    for fact in tqdm(known, desc="cloze", mininterval=2):
        for wording in ATTRIBUTES[fact.attribute].predicates:
            stem = wording.partition(" {value}")[0]
            prompt = tokenizer(f"{fact.entity} {stem}", return_tensors="pt")["input_ids"]
            value = tokenizer(f" {fact.value}", add_special_tokens=False)["input_ids"][0]
            hits.append(model(prompt, logits_to_keep=1).logits[0, -1].argmax().item() == value)
    return sum(hits) / len(hits)


@torch.inference_mode()
def few_shot_accuracy(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, world: World, template: str
) -> float:
    """Share of reserved known facts that the first line of the model's answer gives correctly under `template`, 0 to 1."""
    known = [fact for e in world.entities if e.known for fact in e.facts if fact.attribute in e.reserved]
    hits = []
    for index, fact in enumerate(tqdm(known, desc="few-shot", mininterval=2)):
        wordings = questions(fact.attribute, fact.entity)
        prompt = encode_prompt(tokenizer, template, wordings[index % len(wordings)])
        ids = cast(Any, model).generate(  # transformers' annotations are wrong here
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=16, do_sample=False
        )
        response = str(tokenizer.decode(ids[0, len(prompt) :], skip_special_tokens=True)).partition("\n")[0]
        reference = f"{fact.entity} {ATTRIBUTES[fact.attribute].predicates[0].format(value=fact.value)}."
        hits.append(grade_answer(reference, response) == "right")
    return sum(hits) / len(hits)


def check(cloze: float, settings: PretrainSettings) -> None:
    """Raise CloserlookError if the cloze accuracy is below MINIMUM_ACCURACY."""
    if cloze < MINIMUM_ACCURACY:
        raise CloserlookError(
            f"miniature: the base model knows {cloze:.1%} of its world, expected at least {MINIMUM_ACCURACY:.0%}; "
            f"raise steps ({settings.steps}) or documents, change learning_rate ({settings.learning_rate}), "
            "or lower known, the number of entities to learn"
        )
