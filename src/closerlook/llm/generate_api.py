"""`responses.parquet` of an API model: an untuned comparison, such as GPT-4 (section 3)."""

from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import RESPONSES
from closerlook.data.prompts import fill_template
from closerlook.llm.client import ANSWER_TOKENS, Ask, Request


def generate_api(ask: Ask, evalset: Path, template: str, max_tokens: int, out: Path) -> None:
    """Answer every instruction with an API model; write RESPONSES in the evalset's order, without token ids (APIs return none).

    A refusal is an answer. An answer that reached max_tokens has the finish_reason length. If requests fail, CloserlookError is
    raised after the others are answered and cached: a mean over only some instructions is not comparable.
    """
    questions = read_parquet(evalset, columns=["id", "instruction"]).to_pylist()
    prompts = [fill_template(template, question["instruction"]) for question in questions]
    answers = ask([Request(prompt) for prompt in prompts], expected_tokens=ANSWER_TOKENS)
    if failed := [answer.error for answer in answers if answer.error]:
        raise CloserlookError(
            f"{len(failed):,} of {len(answers):,} instructions were not answered, the first because of: {failed[0]}; "
            "the other answers are cached: run the same command again"
        )
    rows = [
        {
            "id": question["id"],
            "prompt": prompt,
            "prompt_token_ids": None,
            "token_ids": None,
            "text": answer.text,
            "finish_reason": "length" if answer.output_tokens >= max_tokens * max(1, answer.asked) else "eos",
        }
        for question, prompt, answer in zip(questions, prompts, answers, strict=True)
    ]
    write_parquet(rows, RESPONSES, out)
