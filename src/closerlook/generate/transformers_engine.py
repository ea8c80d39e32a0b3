"""The engine transformers: its continuous batching, with a paged cache. Greedy only: one seed serves all its responses."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

from peft import PeftModel
from transformers import ContinuousBatchingConfig, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.generate.response import Ending, Response, end_tokens_of

PAGE = 256
"""Tokens of a page of the cache."""
BATCH_TOKENS = 2048
"""Most tokens of a pass, which bounds its memory."""


class TransformersEngine:
    """Continuous batching of one model, `batch_size` responses at a time. Raises CloserlookError for a temperature above 0."""

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        settings: GenerateSettings,
        batch_size: int,
    ) -> None:
        if settings.temperature:
            raise CloserlookError(
                f"--temperature: found {settings.temperature}, expected 0 with the engine transformers, whose random numbers "
                "depend on the batch; choose closerlook or vllm"
            )
        self.model = cast(Any, model.get_base_model() if isinstance(model, PeftModel) else model)
        self.batch_size = batch_size
        end_tokens = end_tokens_of(self.model.generation_config, tokenizer)
        self._ending = Ending(tokenizer, settings.stop, end_tokens, "transformers")

    def respond(self, responses: Sequence[Response]) -> Iterator[Response]:
        """Complete every response in place, and yield each as it ends. Their ids are distinct."""
        unfinished = {response.id: response for response in responses}
        end_tokens = sorted(self._ending.end_tokens)
        greedy = GenerationConfig(do_sample=False, eos_token_id=end_tokens)
        # Left to itself, it takes nine tenths of the free memory, also of a CPU.
        longest = max(len(response.prompt) + response.room for response in responses)
        batching = ContinuousBatchingConfig(
            page_size=PAGE,
            num_blocks=self.batch_size * math.ceil(longest / PAGE) + 1,
            max_batch_tokens=BATCH_TOKENS,
            max_requests_per_batch=self.batch_size,
        )
        with self.model.continuous_batching_context_manager(greedy, continuous_batching_config=batching) as manager:
            for response in responses:
                manager.add_request(response.prompt, response.id, max_new_tokens=response.room, eos_token_id=end_tokens)
            while unfinished:
                result = manager.get_result(timeout=1)
                if result is not None and result.error:
                    raise RuntimeError(result.error)
                if result is not None and result.is_finished():
                    yield self._ending.finish(unfinished.pop(result.request_id), result.generated_tokens)
                if result is None and not manager.is_running():
                    raise RuntimeError("transformers' continuous batching ended before all responses did")
