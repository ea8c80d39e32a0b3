"""Mark spans with the miniature's truth."""

from collections.abc import Sequence

from closerlook.miniature.claims import Claim, check_claims
from closerlook.miniature.world import World
from closerlook.spans.marks import MarkedSpan, Response, Rows, span_rows

MARKER = "oracle@1"


def mark_by_oracle(responses: Sequence[Response], world: World) -> Rows:
    """Mark the value of every wrong or unverifiable claim; the note states the truth.

    The kind is always "not factual". Correct facts that the instruction did not ask for are not marked as "not useful", since
    they are not borrowed.
    """
    rows: Rows = []
    for response in responses:
        wrong = [claim for claim, verdict in check_claims(world, response.text) if verdict != "right"]
        spans = [MarkedSpan(claim.start, claim.end, "not factual", _truth(world, claim)) for claim in wrong]
        rows += span_rows(response, spans, MARKER)
    return rows


def _truth(world: World, claim: Claim) -> str:
    truth = world.value(claim.entity, claim.attribute)
    if truth is None:
        return f"{claim.entity} has no {claim.attribute}"
    return f"the {claim.attribute} of {claim.entity}: {truth}"
