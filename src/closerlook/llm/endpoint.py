"""Questions to a model behind an OpenAI-compatible endpoint: many at a time, each answer kept as soon as it is there.

The one client for judges, pairwise comparisons and simplification.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from openai import APIStatusError, AsyncOpenAI, BadRequestError, OpenAIError, UnprocessableEntityError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

from closerlook.config.judges import OpenAIJudge
from closerlook.core.errors import CloserlookError
from closerlook.llm.budget import Budget, Preview, check_budget, estimate_tokens, preview, price
from closerlook.llm.cache import Answer, Cache
from closerlook.llm.client import MAX_ATTEMPTS, Finished, Request, cache_key, model_and_server
from closerlook.llm.pace import BrokenAnswerError, Pace, is_out_of_quota, is_transient
from closerlook.llm.secret import read_key

log = logging.getLogger(__name__)

GIVE_UP_AFTER = 20
"""Requests in a row that fail for good, with all their retries: the server is gone."""


class Endpoint:
    """One model of one server. Without `usable` every answer will do; with it, an answer that will not is asked for once more."""

    def __init__(self, judge: OpenAIJudge, cache: Cache, budget: Budget | None = None) -> None:
        """Raises CloserlookError where no API key is set that the server needs."""
        self.judge, self.cache, self.budget = judge, cache, budget or Budget()
        self._key = read_key(judge.key_variable, judge.base_url)
        self._source = model_and_server(judge)
        self._unwanted: set[str] = set()
        self._stop: CloserlookError | None = None
        self._answered = self._failed_in_a_row = 0
        self._under_way = 0.0

    def complete(
        self,
        requests: Sequence[Request],
        finished: Finished = lambda index, answer, cost: None,
        usable: Callable[[str], bool] = lambda text: True,
        expected_tokens: float | None = None,
    ) -> list[Answer]:
        """The answers, in the order of the requests; equal requests are asked once. Failures are answers with an `error`.

        expected_tokens: of an answer, for the estimate of what it costs (max_tokens where nobody knows). Raises CloserlookError
        before the first call when the budget does not allow it, and later when it is spent, the key is refused, the account is
        empty or the server is gone; what was answered until then is kept, and another run goes on from there.
        """
        todo: dict[str, list[int]] = {}
        answers: dict[int, Answer] = {}
        for index, request in enumerate(requests):
            answer = self.cache.get(key := self.key(request))
            if answer and _enough(answer, usable):
                answers[index] = answer
                finished(index, answer, 0.0)
            else:
                todo.setdefault(key, []).append(index)
        if todo:
            self._output = self.cache.mean_output_tokens(self._source) or expected_tokens or self.judge.max_tokens
            expected = self._preview([requests[places[0]] for places in todo.values()], len(requests))
            log.info("%s: %s", self._source, expected)
            check_budget(self.budget, expected, self.cache.spent(self.budget.purpose), self.judge.openai)

            def done(key: str, answer: Answer, cost: float) -> None:
                for index in todo[key]:
                    answers[index] = answer
                    finished(index, answer, cost if index == todo[key][0] else 0.0)

            asyncio.run(self._ask_all([(key, requests[places[0]]) for key, places in todo.items()], usable, done))
        return [answers[index] for index in range(len(requests))]

    def key(self, request: Request) -> str:
        """Under what an answer is kept."""
        return cache_key(self.judge, request)

    def _preview(self, requests: Sequence[Request], of: int) -> Preview:
        return preview((request.prompt for request in requests), of, self._output, self.judge)

    async def _ask_all(
        self, todo: list[tuple[str, Request]], usable: Callable[[str], bool], done: Callable[[str, Answer, float], None]
    ) -> None:
        """As many workers as calls may be under way. When one finds that there is no going on, all end after their call."""
        self._stop, self._answered, self._failed_in_a_row = None, 0, 0
        pace, rest = Pace(self.judge.requests_per_minute), iter(todo)
        async with AsyncOpenAI(
            api_key=self._key.reveal(), base_url=self.judge.base_url, timeout=self.judge.timeout, max_retries=0
        ) as client:

            async def work(rest: Iterator[tuple[str, Request]]) -> None:
                for key, request in rest:
                    answer, cost = await self._ask(client, pace, key, request, usable)
                    if self._stop:
                        return
                    done(key, answer, cost)

            await asyncio.gather(*(work(rest) for _ in range(min(self.judge.concurrency, len(todo)))))
        if self._stop:
            raise self._stop

    async def _ask(
        self, client: AsyncOpenAI, pace: Pace, key: str, request: Request, usable: Callable[[str], bool]
    ) -> tuple[Answer, float]:
        """One request, until its answer is usable or has been asked for often enough; and what that cost now."""
        paid = 0.0
        answer = self.cache.get(key) or Answer()  # another process may have asked meanwhile
        while not _enough(answer, usable):
            try:
                new, cost = await self._paid_call(client, pace, request)
            except (OpenAIError, BrokenAnswerError, TimeoutError) as error:
                self._note_failure(error)
                # What an earlier call brought is better than nothing.
                return (answer if answer.asked else Answer(error=self._describe_error(error))), paid
            if not new.asked:
                break
            self._answered, self._failed_in_a_row = self._answered + 1, 0
            answer = replace(
                new,
                input_tokens=answer.input_tokens + new.input_tokens,
                output_tokens=answer.output_tokens + new.output_tokens,
                asked=answer.asked + 1,
            )
            self.cache.put(key, self._source, answer, self.budget.purpose, cost)
            paid += cost
        return answer, paid

    async def _paid_call(self, client: AsyncOpenAI, pace: Pace, request: Request) -> tuple[Answer, float]:
        """One answer, retried where that may help, and its cost. An answer that was `asked` 0 times where all must stop."""
        estimate = price(self.judge, estimate_tokens(request.prompt), self._output) or 0.0
        spent = self.cache.spent(self.budget.purpose) + self._under_way
        if self.budget.amount is not None and spent + estimate > self.budget.amount and not self._stop:
            self._stop = CloserlookError(
                f"{self.budget.key}: found {self.budget.amount:,.2f}, of which {self.cache.spent(self.budget.purpose):,.2f} are "
                f"spent: expected enough for another call to {self.judge.openai} (about {estimate:,.4f}). What was answered is "
                f"kept; raise {self.budget.key} and run it again to go on"
            )
        if self._stop:
            return Answer(), 0.0
        self._under_way += estimate
        try:
            retrying = AsyncRetrying(
                stop=stop_after_attempt(self.judge.retries + 1),
                wait=pace.wait,
                retry=retry_if_exception(lambda error: self._stop is None and is_transient(error)),
                reraise=True,
            )
            answer: Answer = await retrying(self._call, client, pace, request)
        finally:
            self._under_way -= estimate
        return answer, price(self.judge, answer.input_tokens, answer.output_tokens) or 0.0

    async def _call(self, client: AsyncOpenAI, pace: Pace, request: Request) -> Answer:
        """One call. A parameter that the server refuses is left out, from then on, if it then answers."""
        refused: set[str] = set()
        while True:
            await pace.turn()
            parameters = _drop_parameters(self._parameters(request), self._unwanted | refused)
            try:
                async with asyncio.timeout(self.judge.timeout):
                    # Not chat.completions.create: its checks of types cost as much as the call, and everything is checked below.
                    messages = [{"role": "user", "content": request.prompt}]
                    body = {"model": self.judge.openai, "messages": messages} | parameters
                    completion = await client.post("/chat/completions", body=body, cast_to=object)
            except (BadRequestError, UnprocessableEntityError) as error:
                if error.code == "content_filter":
                    return Answer(model=self.judge.openai, refused=True, asked=1)
                if (name := _blamed(error, parameters)) is None:
                    raise
                refused.add(name)
                continue
            except (ValueError, RecursionError) as error:  # no JSON, or no UTF-8
                raise BrokenAnswerError(f"a broken body ({type(error).__name__})") from None
            for name in sorted(refused - self._unwanted):
                log.warning("%s does not take %s: asked without it from now on", self._source, name)
            self._unwanted |= refused
            return self._read(completion, request)

    def _parameters(self, request: Request) -> dict[str, Any]:
        judge = self.judge
        parameters: dict[str, Any] = {"temperature": 0, "max_tokens": judge.max_tokens, "seed": judge.seed}
        if judge.structured and request.schema:
            schema = {"name": request.name, "schema": request.schema, "strict": True}
            parameters["response_format"] = {"type": "json_schema", "json_schema": schema}
        return parameters

    def _read(self, completion: Any, request: Request) -> Answer:
        """A completion as an answer. Whatever the server sent with status 200 arrives here: HTML as text."""
        try:
            choice, model = completion["choices"][0], completion.get("model") or self.judge.openai
            message, usage = choice["message"], completion.get("usage") or {}
            refusal, text = message.get("refusal"), message.get("content")
            text = (text or refusal or "").encode("utf-8", "replace").decode()  # half a surrogate pair is no text
            return Answer(
                text=self._key.hide(text),
                model=self._key.hide(str(model)),
                refused=bool(refusal) or choice.get("finish_reason") == "content_filter",
                input_tokens=_count(usage.get("prompt_tokens"), request.prompt),
                output_tokens=_count(usage.get("completion_tokens"), text),
                asked=1,
            )
        except (KeyError, IndexError, TypeError, AttributeError):
            raise BrokenAnswerError(f"no chat completion: {self._key.hide(str(completion))[:200]}") from None

    def _note_failure(self, error: Exception) -> None:
        """Count a failure, and stop all requests if further ones are pointless."""
        message = self._describe_error(error)
        again = "What was answered is kept; run it again to go on"
        if isinstance(error, APIStatusError) and not self._stop:
            variable = self.judge.key_variable
            if error.status_code == 401 or (error.status_code == 403 and not self._answered):
                self._stop = CloserlookError(f"{self._source} refuses the API key in {variable}: {message}. {again}")
            elif error.status_code == 404 and not self._answered:
                self._stop = CloserlookError(f"{self.judge.base_url} has no model {self.judge.openai}: {message}")
            elif is_out_of_quota(error):
                self._stop = CloserlookError(
                    f"{self._source}: the account has nothing left to spend: {message}. {again}"
                )
        if is_transient(error):
            self._failed_in_a_row += 1
        if self._failed_in_a_row >= GIVE_UP_AFTER and not self._stop:
            self._stop = CloserlookError(
                f"{self._source}: {GIVE_UP_AFTER} requests in a row failed, each {self.judge.retries + 1} times: "
                f"{message}. {again}"
            )

    def _describe_error(self, error: Exception) -> str:
        """Return an error's text without the API key."""
        cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
        return self._key.hide(f"{type(error).__name__}: {error}{cause}")[:300]


def _count(tokens: Any, text: str) -> int:
    """A server's count of tokens, or an estimate where it has none that can be."""
    return tokens if isinstance(tokens, int) and 0 < tokens < 1 << 31 else estimate_tokens(text)


def _enough(answer: Answer, usable: Callable[[str], bool]) -> bool:
    """Whether an answer is not to be asked for again."""
    return answer.asked > 0 and (answer.refused or answer.asked >= MAX_ATTEMPTS or usable(answer.text))


def _blamed(error: APIStatusError, sent: dict[str, Any]) -> str | None:
    """The parameter that a server says it does not take; a format that it may not take where it says nothing."""
    text = f"{error.param} {error.message}".lower()
    if error.code == "context_length_exceeded" or "context length" in text:
        return None
    if "max_tokens" in sent and "max_completion_tokens" in text:
        return "max_tokens"
    named = [name for name in ("seed", "temperature", "response_format") if name in sent and name in text]
    return named[0] if named else "response_format" if "response_format" in sent else None


def _drop_parameters(parameters: dict[str, Any], unwanted: set[str]) -> dict[str, Any]:
    kept = {name: value for name, value in parameters.items() if name not in unwanted}
    if "max_tokens" in unwanted:
        kept["max_completion_tokens"] = parameters["max_tokens"]  # its newer name
    return kept
