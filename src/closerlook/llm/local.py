"""A chat model on this machine, decoded greedily: by vLLM if it is installed and there is a GPU, else by closerlook's decoder."""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedTokenizerBase

from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import sha256
from closerlook.core.resumable import split_by_length
from closerlook.generate.decoding import Decoder
from closerlook.generate.ragged_cache import RAGGED
from closerlook.llm.cache import Answer, Cache
from closerlook.llm.client import MAX_ATTEMPTS, CompletionModel, Done, Request
from closerlook.models.load import device, load_base, load_tokenizer
from closerlook.models.logits import Network, body_dtype
from closerlook.models.token_text import decode

PART = 64
"""Answers per commit to the cache: the work that a kill can lose."""
_MARK = "closerlook-prompt-goes-here"

Engine = Callable[[Sequence[list[int]]], list[list[int]]]
"""Maps prompts to new tokens, both as token ids; without the end-of-sequence token."""


class LocalModel(CompletionModel):
    """The chat model in a folder (safetensors and tokenizer). It is loaded for the first uncached request."""

    def __init__(self, folder: Path, max_tokens: int, batch_size: int, cache: Cache) -> None:
        """Raises CloserlookError if the tokenizer has no chat template."""
        self.folder, self.max_tokens, self.batch_size, self.cache = folder, max_tokens, batch_size, cache
        self._tokenizer = load_tokenizer(self.folder)
        self._affixes = _chat_template(self._tokenizer, self.folder)
        self.version = sha256(self.folder)[:8]

    def key(self, request: Request) -> str:
        """Return the key of a cached answer."""
        parts = ["local", self.version, self.max_tokens, self._affixes, request.prompt]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def answer(
        self, todo: Mapping[str, Request], done: Done, usable: Callable[[str], bool], expected_tokens: float | None
    ) -> None:
        """Generate answers. A prompt that is too long for the model's context is an error.

        `usable` and schemas are ignored: a second greedy answer would equal the first.
        """
        room = self._context() - self.max_tokens
        prompts = {key: self._encode(request.prompt) for key, request in todo.items()}
        for key in [key for key, prompt in prompts.items() if len(prompt) > room]:
            length = len(prompts.pop(key))
            message = f"{length} tokens and {self.max_tokens} new ones do not fit into the model's context"
            done(key, Answer(error=message), 0.0)
        if not prompts:
            return
        engine = vllm_engine(self.folder, self.max_tokens) if vllm_available() else self._own_engine()
        keys = list(prompts)
        for indices in split_by_length([len(prompt) for prompt in prompts.values()], PART):
            part = [keys[index] for index in indices]
            for key, tokens in zip(part, engine([prompts[key] for key in part]), strict=True):
                text, model = decode(self._tokenizer, tokens), f"{self.folder.name} {self.version}"
                answer = Answer(text, model, False, "", len(prompts[key]), len(tokens), MAX_ATTEMPTS)
                self.cache.put(key, self.folder.name, answer)
                done(key, answer, 0.0)

    def _own_engine(self) -> Engine:
        target = device()
        network = Network(load_base(self.folder, target, body_dtype("auto", target), RAGGED))
        network.check()
        settings = GenerateSettings(max_new_tokens=self.max_tokens)
        decoder = Decoder(network, self._tokenizer, settings, min(self.batch_size, PART))

        def generate(prompts: Sequence[list[int]]) -> list[list[int]]:
            responses = [decoder.response(str(index), prompt) for index, prompt in enumerate(prompts)]
            decoder.respond(responses)
            return [response.token_ids for response in responses]

        return generate

    def _encode(self, prompt: str) -> list[int]:
        """Return the prompt in the model's chat template. Names of special tokens within the prompt are plain text."""
        encode: Any = self._tokenizer
        text = encode(prompt, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        prefix, suffix = (encode(affix, add_special_tokens=False)["input_ids"] for affix in self._affixes)
        return [*prefix, *text, *suffix]

    def _context(self) -> int:
        config = AutoConfig.from_pretrained(self.folder, local_files_only=True).get_text_config()
        return getattr(config, "max_position_embeddings", None) or 1 << 40


def _chat_template(tokenizer: PreTrainedTokenizerBase, folder: Path) -> tuple[str, str]:
    """Return the texts that the chat template puts before and after a user's message."""
    if not tokenizer.chat_template:
        raise CloserlookError(f"{folder}: its tokenizer has no chat template; a judge must be a chat model")
    message = [{"role": "user", "content": _MARK}]
    text = str(tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True))
    before, mark, after = text.partition(_MARK)
    if not mark or _MARK in after:
        raise CloserlookError(f"{folder}: its chat template does not contain a user's message exactly once")
    return before, after


def vllm_available() -> bool:
    """Whether vLLM is installed and there is a GPU."""
    return torch.cuda.is_available() and importlib.util.find_spec("vllm") is not None


def vllm_engine(folder: Path, max_tokens: int) -> Engine:
    """vLLM's offline engine: greedy, on token ids, in the weights' own precision."""
    from vllm import LLM, SamplingParams  # type: ignore[import-not-found, unused-ignore]

    model = LLM(model=str(folder), seed=0)
    greedy = SamplingParams(temperature=0.0, max_tokens=max_tokens)

    def generate(prompts: Sequence[list[int]]) -> list[list[int]]:
        outputs = model.generate([{"prompt_token_ids": prompt} for prompt in prompts], greedy, use_tqdm=False)
        return [list(output.outputs[0].token_ids) for output in outputs]

    return generate
