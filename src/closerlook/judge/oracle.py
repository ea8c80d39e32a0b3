"""The miniature's exact judge: scores follow from fixed rules about the claims and the style of a response.

A question's `reference` states the facts that answer it, all of one entity. A claim is a fact that a response states
(closerlook.miniature.claims); it is right, wrong or unverifiable.

factuality   1 + floor(4 x right claims / claims): 5 only if every claim is right. Without claims: not applicable.
helpfulness  A question for one fact: 5 if the first claim about it is right; 2 if there is none, but a right claim about the
             entity; else 1. An open request: 1 + floor(4 x facts of the reference that are stated / facts of the reference).
depth        1 + number of the entity's attributes that claims name, right or wrong; at most 5.
clarity      5, minus 1 if the text does not end in . ! or ?, minus 1 if an attribute of an entity has two values, minus 1 for
             each repeated sentence, at most 2. A response without a word: 1.
engagement   1, plus 1 for each of: it names the entity; it has more than one sentence; it addresses the reader (I, me, my,
             you, your, us, our); it has an exclamation mark. A response without a word: 1.
"""

import re
from collections.abc import Callable, Sequence

from closerlook.core.errors import CloserlookError
from closerlook.judge.aspects import Case, Judge, Judged, Verdict
from closerlook.miniature.claims import check_claims, grade_answer, parse_claims
from closerlook.miniature.world import World

VERSION = "oracle@1"
"""Incremented when a rule changes."""

_READER_WORDS = re.compile(r"\b(?:i|me|my|you|your|us|our)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def make_oracle_judge(world: World) -> Judge:
    """Return the judge of a world."""

    def judge_all(cases: Sequence[Case], finished: Callable[[Judged], None]) -> list[Judged]:
        all_judged = []
        for case in cases:
            all_judged.append(Judged(verdicts(world, case), VERSION))
            finished(all_judged[-1])
        return all_judged

    return judge_all


def verdicts(world: World, case: Case) -> tuple[Verdict, ...]:
    """Return the verdicts on all five aspects. Raises CloserlookError if the reference does not state facts of one entity."""
    facts = [claim.fact for claim in parse_claims(case.reference or "")]
    entities = {fact.entity for fact in facts}
    if len(entities) != 1:
        raise CloserlookError(
            f"question {case.id}: its reference is {case.reference!r}, expected facts about one entity of the miniature: "
            "the oracle judges evalsets of the miniature only"
        )
    entity = entities.pop()
    claims = check_claims(world, case.response)
    return (
        _helpfulness(case, entity, claims),
        _clarity(case.response, claims),
        _factuality(claims),
        _depth(entity, claims),
        _engagement(case.response, entity),
    )


def _helpfulness(case: Case, entity: str, claims: list) -> Verdict:
    reference = {claim.fact for claim in parse_claims(case.reference or "")}
    right = {claim.fact for claim, verdict in claims if verdict == "right" and claim.entity == entity}
    if len(reference) > 1:
        stated = len(right & reference)
        score = 1 + 4 * stated // len(reference)
        return Verdict("helpfulness", score, reason=f"states {stated} of {len(reference)} facts")
    given = grade_answer(case.reference or "", case.response)
    if given == "none" and right:
        return Verdict("helpfulness", 2, reason="does not answer, but states another fact about it")
    return Verdict("helpfulness", 5 if given == "right" else 1, reason=f"the answer: {given}")


def _factuality(claims: list) -> Verdict:
    if not claims:
        return Verdict("factuality", None, "not applicable", "claims nothing")
    right = sum(verdict == "right" for _, verdict in claims)
    return Verdict("factuality", 1 + 4 * right // len(claims), reason=f"{right} of {len(claims)} claims are right")


def _depth(entity: str, claims: list) -> Verdict:
    named = len({claim.attribute for claim, _ in claims if claim.entity == entity})
    return Verdict("depth", min(5, 1 + named), reason=f"names {named} attributes")


def _clarity(response: str, claims: list) -> Verdict:
    sentences = _sentences(response)
    if not sentences:
        return Verdict("clarity", 1, reason="says nothing")
    faults = [] if response.rstrip()[-1] in ".!?" else ["breaks off"]
    values: dict[tuple[str, str], set[str]] = {}
    for claim, _ in claims:
        values.setdefault((claim.entity, claim.attribute), set()).add(claim.value)
    if any(len(given) > 1 for given in values.values()):
        faults.append("contradicts itself")
    faults += ["repeats itself"] * min(2, len(sentences) - len(set(sentences)))
    return Verdict("clarity", 5 - len(faults), reason=", ".join(dict.fromkeys(faults)) or "no fault")


def _engagement(response: str, entity: str) -> Verdict:
    if not (sentences := _sentences(response)):
        return Verdict("engagement", 1, reason="says nothing")
    traits = {
        "names the entity": entity in response,
        "more than one sentence": len(sentences) > 1,
        "speaks to the reader": bool(_READER_WORDS.search(response)),
        "exclamation mark": "!" in response,
    }
    present = [trait for trait, true in traits.items() if true]
    return Verdict("engagement", 1 + len(present), reason=", ".join(present) or "none of its marks")


def _sentences(text: str) -> list[str]:
    """Return the sentences that contain a letter, with whitespace normalized."""
    parts = (" ".join(part.split()) for part in _SENTENCE_END.split(text))
    return [part for part in parts if any(character.isalpha() for character in part)]
