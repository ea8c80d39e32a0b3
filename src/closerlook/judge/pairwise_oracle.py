"""The miniature's pairs, decided by what their responses claim: Figure 6's classes without a judge's opinion."""

from closerlook.judge.pairwise import Opinion
from closerlook.miniature.claims import Claim, Verdict, judge
from closerlook.miniature.simplify import answers
from closerlook.miniature.world import World

Judged = list[tuple[Claim, Verdict]]


def opinion(world: World, instruction: str, original: str, simplified: str) -> Opinion:
    """The class of a pair. A claim is false if it is wrong or unverifiable.

    The core of a response is its first claim that answers the instruction, and is wrong too where there is none; every other
    claim is further detail. An accurate response has a right core and no false claim. Both accurate: the class is
    longer_preferred if the original states all facts of the simplified and more, different if each states one that the other
    does not, else other. Both cores wrong: both_inaccurate. The simplified accurate and the original not: core or prolonged,
    by whether the original's core is wrong. The rest is other.
    """
    pair = [judge(world, text) for text in (original, simplified)]
    cores = [_core(instruction, judged) for judged in pair]
    accurate = [core == "right" and _false(judged) == 0 for core, judged in zip(cores, pair, strict=True)]
    reason = "; ".join(
        f"{name}: core {core}, {_false(judged)} of {len(judged)} claims false"
        for name, core, judged in zip(("original", "simplified"), cores, pair, strict=True)
    )
    return Opinion(_category(cores, accurate, *({claim.fact for claim, _ in judged} for judged in pair)), reason)


def _category(cores: list[str], accurate: list[bool], original: set, simplified: set) -> str:
    if all(accurate):
        if original > simplified:
            return "longer_preferred"
        return "different" if original - simplified and simplified - original else "other"
    if "right" not in cores:
        return "both_inaccurate"
    if accurate == [False, True]:
        return "prolonged" if cores[0] == "right" else "core"
    return "other"


def _core(instruction: str, judged: Judged) -> str:
    return next((verdict for claim, verdict in judged if answers(instruction, claim)), "not stated")


def _false(judged: Judged) -> int:
    return sum(verdict != "right" for _, verdict in judged)
