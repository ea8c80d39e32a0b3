"""A chat model run here, asked greedily: by vLLM where it is installed and a GPU is there, else by this project's own decoder."""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedTokenizerBase

from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import sha256
from closerlook.core.resumable import by_length
from closerlook.generate.decoding import Decoder
from closerlook.generate.ragged_cache import RAGGED
from closerlook.llm.cache import Answer, Cache
from closerlook.llm.client import MAX_ATTEMPTS, Finished, Request
from closerlook.models.load import device, load_base, load_tokenizer
from closerlook.models.logits import Network, body_dtype
from closerlook.models.token_text import decode

PART = 64
"""Answers between two savings: what a kill can cost."""
_MARK = "closerlook-prompt-goes-here"

Engine = Callable[[Sequence[list[int]]], list[list[int]]]
"""Prompts as tokens in, new tokens without the end of sequence out."""


class LocalModel:
    """The chat model in a folder (safetensors and tokenizer). Loaded when there is something to ask; answers are kept."""

    def __init__(self, folder: Path, max_tokens: int, batch_size: int, cache: Cache) -> None:
        """Raises CloserlookError where the tokenizer has no chat template."""
        self.folder, self.max_tokens, self.batch_size, self.cache = Path(folder), max_tokens, batch_size, cache
        self._tokenizer = load_tokenizer(self.folder)
        self._around = _chat_template(self._tokenizer, self.folder)
        self.version = sha256(self.folder)[:8]

    def complete(
        self,
        requests: Sequence[Request],
        finished: Finished = lambda index, answer, cost: None,
        usable: Callable[[str], bool] = lambda text: True,
        expected_tokens: float | None = None,
    ) -> list[Answer]:
        """The answers, in the order of the requests. A second greedy answer would be the first again, so all are `usable`.

        A prompt that leaves no room in the model's context is an error. Schemas are left to the prompt.
        """
        keys = [self._key(request) for request in requests]
        answers = {index: answer for index, key in enumerate(keys) if (answer := self.cache.get(key))}
        for index, answer in answers.items():
            finished(index, answer, 0.0)
        todo = [index for index in range(len(requests)) if index not in answers]
        prompts = {index: self._encode(requests[index].prompt) for index in todo}
        room = self._context() - self.max_tokens
        for index in [index for index in todo if len(prompts[index]) > room]:
            message = f"{len(prompts[index])} tokens and {self.max_tokens} new ones do not fit into the model's context"
            answers[index] = Answer(error=message)
            finished(index, answers[index], 0.0)
            todo.remove(index)
        for index, answer in self._generate(todo, prompts):
            self.cache.put(keys[index], self.folder.name, answer)
            answers[index] = answer
            finished(index, answer, 0.0)
        return [answers[index] for index in range(len(requests))]

    def _generate(self, todo: list[int], prompts: dict[int, list[int]]) -> Iterator[tuple[int, Answer]]:
        if not todo:
            return
        engine = vllm_engine(self.folder, self.max_tokens) if vllm_is_here() else self._own_engine()
        for part in by_length([len(prompts[index]) for index in todo], PART):
            chosen = [todo[place] for place in part]
            for index, tokens in zip(chosen, engine([prompts[index] for index in chosen]), strict=True):
                yield (
                    index,
                    Answer(
                        text=decode(self._tokenizer, tokens),
                        model=f"{self.folder.name} {self.version}",
                        input_tokens=len(prompts[index]),
                        output_tokens=len(tokens),
                        asked=MAX_ATTEMPTS,
                    ),
                )

    def _own_engine(self) -> Engine:
        where = device()
        network = Network(load_base(self.folder, where, body_dtype("auto", where), RAGGED))
        network.check()
        settings = GenerateSettings(max_new_tokens=self.max_tokens)
        decoder = Decoder(network, self._tokenizer, settings, min(self.batch_size, PART))

        def generate(prompts: Sequence[list[int]]) -> list[list[int]]:
            responses = [decoder.response(str(place), prompt) for place, prompt in enumerate(prompts)]
            decoder.respond(responses)
            return [response.token_ids for response in responses]

        return generate

    def _encode(self, prompt: str) -> list[int]:
        """The prompt as the model's chat template has it; the name of a special token inside it is mere text."""
        before, after = self._around
        encode: Any = self._tokenizer
        middle = encode(prompt, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        start, end = (encode(text, add_special_tokens=False)["input_ids"] for text in (before, after))
        return [*start, *middle, *end]

    def _context(self) -> int:
        config = AutoConfig.from_pretrained(self.folder, local_files_only=True).get_text_config()
        return getattr(config, "max_position_embeddings", None) or 1 << 40

    def _key(self, request: Request) -> str:
        parts = ["local", self.version, self.max_tokens, self._around, request.prompt]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _chat_template(tokenizer: PreTrainedTokenizerBase, folder: Path) -> tuple[str, str]:
    """What the chat template puts before and behind a user's message."""
    if not tokenizer.chat_template:
        raise CloserlookError(f"{folder}: its tokenizer has no chat template; a judge must be a chat model")
    message = [{"role": "user", "content": _MARK}]
    text = str(tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True))
    before, mark, after = text.partition(_MARK)
    if not mark or _MARK in after:
        raise CloserlookError(f"{folder}: its chat template does not show a user's message once as it is")
    return before, after


def vllm_is_here() -> bool:
    """Whether vLLM can run."""
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
