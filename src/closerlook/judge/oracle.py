"""The miniature's judge, which is exact: scores by stated rules from what a response claims and from how it is written.

A question's `reference` states the facts that answer it, all of one entity: the one that is asked about. A claim is a fact that a
response states (closerlook.miniature.claims): right, wrong or unverifiable.

factuality   1 + the whole part of 4 x right claims / claims: 5 only where every claim is right. No claim: not applicable.
helpfulness  A question for one fact: 5 where the first claim on it is right; 2 where there is none, but a right claim on the
             entity; else 1. An open request: 1 + the whole part of 4 x facts of the reference stated / facts of the reference.
depth        1 + number of the entity's attributes that some claim names, true or not (that is factuality's affair); at most 5.
clarity      5, less 1 where the text does not end in . ! or ?, less 1 where an attribute of an entity is given two values, and
             less 1 for each sentence that stood before, at most 2. A response without a word: 1.
engagement   1, and 1 more for each of: it names the entity; it has more than one sentence; it speaks to the reader (I, me, my,
             you, your, us, our); it has an exclamation mark. A response without a word: 1.
"""

import re
from collections.abc import Callable, Sequence

from closerlook.core.errors import CloserlookError
from closerlook.judge.aspects import Case, Judge, Judged, NullCause, Verdict
from closerlook.miniature.claims import answer, judge, parse
from closerlook.miniature.world import World

VERSION = "oracle@1"
"""Counts up when a rule changes."""

_TO_THE_READER = re.compile(r"\b(?:i|me|my|you|your|us|our)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def make_oracle_judge(world: World) -> Judge:
    """The judge that knows this world."""

    def judge_all(cases: Sequence[Case], finished: Callable[[Judged], None]) -> list[Judged]:
        all_judged = []
        for case in cases:
            all_judged.append(Judged(verdicts(world, case), VERSION))
            finished(all_judged[-1])
        return all_judged

    return judge_all


def verdicts(world: World, case: Case) -> tuple[Verdict, ...]:
    """All five aspects. Raises CloserlookError where the case's reference states no fact of this world's miniature."""
    facts = [claim.fact for claim in parse(case.reference or "")]
    entities = {fact.entity for fact in facts}
    if len(entities) != 1:
        raise CloserlookError(
            f"question {case.id}: its reference is {case.reference!r}, expected facts about one entity of the miniature: "
            "the oracle judges evalsets of the miniature only"
        )
    entity = entities.pop()
    claims = judge(world, case.response)
    return (
        _helpfulness(case, entity, claims),
        _clarity(case.response, claims),
        _factuality(claims),
        _depth(entity, claims),
        _engagement(case.response, entity),
    )


def _helpfulness(case: Case, entity: str, claims: list) -> Verdict:
    reference = {claim.fact for claim in parse(case.reference or "")}
    right = {claim.fact for claim, verdict in claims if verdict == "right" and claim.entity == entity}
    if len(reference) > 1:
        return _scored(
            "helpfulness",
            1 + 4 * len(right & reference) // len(reference),
            f"states {len(right & reference)} of {len(reference)} facts",
        )
    given = answer(case.reference or "", case.response)
    if given == "none" and right:
        return _scored("helpfulness", 2, "does not answer, but states another fact about it")
    return _scored("helpfulness", 5 if given == "right" else 1, f"the answer: {given}")


def _factuality(claims: list) -> Verdict:
    if not claims:
        return _null("factuality", "not applicable", "claims nothing")
    right = sum(verdict == "right" for _, verdict in claims)
    return _scored("factuality", 1 + 4 * right // len(claims), f"{right} of {len(claims)} claims are right")


def _depth(entity: str, claims: list) -> Verdict:
    named = len({claim.attribute for claim, _ in claims if claim.entity == entity})
    return _scored("depth", min(5, 1 + named), f"names {named} attributes")


def _clarity(response: str, claims: list) -> Verdict:
    sentences = _sentences(response)
    if not sentences:
        return _scored("clarity", 1, "says nothing")
    faults = [] if response.rstrip()[-1] in ".!?" else ["breaks off"]
    values: dict[tuple[str, str], set[str]] = {}
    for claim, _ in claims:
        values.setdefault((claim.entity, claim.attribute), set()).add(claim.value)
    if any(len(given) > 1 for given in values.values()):
        faults.append("contradicts itself")
    repeated = len(sentences) - len(set(sentences))
    faults += ["repeats itself"] * min(2, repeated)
    return _scored("clarity", 5 - len(faults), ", ".join(dict.fromkeys(faults)) or "no fault")


def _engagement(response: str, entity: str) -> Verdict:
    if not (sentences := _sentences(response)):
        return _scored("engagement", 1, "says nothing")
    has = {
        "names the entity": entity in response,
        "more than one sentence": len(sentences) > 1,
        "speaks to the reader": bool(_TO_THE_READER.search(response)),
        "exclamation mark": "!" in response,
    }
    return _scored(
        "engagement",
        1 + sum(has.values()),
        ", ".join(name for name, true in has.items() if true) or "none of its marks",
    )


def _sentences(text: str) -> list[str]:
    """Sentences that hold a letter, with their spaces made one."""
    parts = (" ".join(part.split()) for part in _SENTENCE_END.split(text))
    return [part for part in parts if any(character.isalpha() for character in part)]


def _scored(aspect: str, score: int, reason: str) -> Verdict:
    return Verdict(aspect, score, None, reason)


def _null(aspect: str, cause: NullCause, reason: str) -> Verdict:
    return Verdict(aspect, None, cause, reason)
