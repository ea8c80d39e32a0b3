"""Something that completes requests, as scripts use it: with a progress bar, what it cost, and which versions answered."""

from collections.abc import Callable, Sequence

from tqdm import tqdm

from closerlook.llm.cache import Answer
from closerlook.llm.requests import CompletionModel, Request

Ask = Callable[..., Sequence[Answer]]
"""One answer per request, in their order: an LLMClient, or a function in its place."""


class LLMClient:
    """Call it with requests to get their answers. `versions` and `cost` grow with each call."""

    def __init__(self, source: CompletionModel, title: str) -> None:
        self._source, self._title = source, title
        self.versions: set[str] = set()
        self.cost = 0.0

    def __call__(
        self,
        requests: Sequence[Request],
        usable: Callable[[str], bool] = lambda text: True,
        expected_tokens: float | None = None,
    ) -> list[Answer]:
        """One answer per request, in their order; failures are answers with an `error`."""
        with tqdm(total=len(requests), desc=self._title, unit=" answers") as bar:

            def finished(index: int, answer: Answer, cost: float) -> None:
                self.cost += cost
                self.versions |= {answer.model} - {""}
                bar.set_postfix_str(f"cost {self.cost:.2f}" if self.cost else "", refresh=False)
                bar.update()

            return self._source.complete(requests, finished, usable, expected_tokens)
