"""The miniature's truth as a marker: marks the value of every claim that is not right."""

from collections.abc import Iterator, Sequence

from closerlook.miniature.claims import Claim, judge
from closerlook.miniature.world import World
from closerlook.spans.marks import Response, Rows, Span, span_rows

MARKER = "oracle@1"


def mark_by_oracle(responses: Sequence[Response], world: World) -> Rows:
    """Mark the value of every claim that is wrong, or about nothing in the world; the note states the truth.

    The kind is always "not factual". "Not useful" is a matter of taste, and facts that are right but were not asked for are not
    borrowed: marking them would only blur the traces.
    """
    return [row for response in responses for row in span_rows(response, _wrong_values(world, response.text), MARKER)]


def _wrong_values(world: World, text: str) -> Iterator[Span]:
    for claim, verdict in judge(world, text):
        if verdict != "right":
            yield Span(claim.start, claim.end, "not factual", _truth(world, claim))


def _truth(world: World, claim: Claim) -> str:
    truth = world.value(claim.entity, claim.attribute)
    if truth is None:
        return f"{claim.entity} has no {claim.attribute}"
    return f"the {claim.attribute} of {claim.entity}: {truth}"
