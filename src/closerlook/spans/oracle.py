"""The miniature's truth as a marker: the value of every claim that is not so."""

from collections.abc import Iterator, Sequence

from closerlook.miniature.claims import Claim, judge
from closerlook.miniature.world import World
from closerlook.spans.marks import Response, Rows, Span, rows_of

MARKER = "oracle@1"


def by_oracle(responses: Sequence[Response], world: World) -> Rows:
    """Mark the value of every claim that is wrong, or about nothing in the world; the note says what is so.

    All are "not factual". "Not useful" is a matter of taste, and right facts that nobody asked for were borrowed from nowhere:
    they would only blur what is traced.
    """
    return [row for response in responses for row in rows_of(response, _false(world, response.text), MARKER)]


def _false(world: World, text: str) -> Iterator[Span]:
    for claim, verdict in judge(world, text):
        if verdict != "right":
            yield Span(claim.start, claim.end, "not factual", _truth(world, claim))


def _truth(world: World, claim: Claim) -> str:
    truth = world.value(claim.entity, claim.attribute)
    if truth is None:
        return f"{claim.entity} has no {claim.attribute}"
    return f"the {claim.attribute} of {claim.entity}: {truth}"
