"""A chat model on this machine, decoded greedily: by vLLM if it is installed and there is a GPU, else by closerlook's decoder."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import sha256
from closerlook.generate.engines import Engine, choose_engine, open_engine
from closerlook.generate.response import new_response
from closerlook.llm.cache import Answer, Cache
from closerlook.llm.client import MAX_ATTEMPTS, CompletionModel, Done, Request
from closerlook.models.device import device
from closerlook.models.load import context_length, load_tokenizer, text_config
from closerlook.models.precision import exact_dtype
from closerlook.models.token_text import decode

_MARK = "closerlook-prompt-goes-here"


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
        """Generate answers, and store each as it ends. A prompt that is too long for the model's context is an error.

        `usable` and schemas are ignored: a second greedy answer would equal the first.
        """
        context = context_length(text_config(self.folder))
        prompts = {key: self._encode(request.prompt) for key, request in todo.items()}
        for key in [key for key, prompt in prompts.items() if len(prompt) > context - self.max_tokens]:
            length = len(prompts.pop(key))
            message = f"{length} tokens and {self.max_tokens} new ones do not fit into the model's context"
            done(key, Answer(error=message), 0.0)
        if not prompts:
            return
        # Longest first, as their answers tend to be the longest too.
        responses = [
            new_response(key, prompts[key], context, self.max_tokens)
            for key in sorted(prompts, key=lambda key: -len(prompts[key]))
        ]
        for response in self._engine()(responses):
            tokens = response.token_ids
            text, model = decode(self._tokenizer, tokens), f"{self.folder.name} {self.version}"
            answer = Answer(text, model, False, "", len(response.prompt), len(tokens), MAX_ATTEMPTS)
            self.cache.put(response.id, self.folder.name, answer)
            done(response.id, answer, 0.0)

    def _engine(self) -> Engine:
        name, dtype = choose_engine("auto", None), exact_dtype("auto", device())
        settings = GenerateSettings(max_new_tokens=self.max_tokens)
        return open_engine(name, self.folder, None, self._tokenizer, settings, dtype, 1, self.batch_size)

    def _encode(self, prompt: str) -> list[int]:
        """Return the prompt in the model's chat template. Names of special tokens within the prompt are plain text."""
        encode: Any = self._tokenizer
        text = encode(prompt, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        prefix, suffix = (encode(affix, add_special_tokens=False)["input_ids"] for affix in self._affixes)
        return [*prefix, *text, *suffix]


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
