"""Every figure: its title, its caption and the tables that it is drawn from. Imports no matplotlib: every job imports it."""

from dataclasses import dataclass

from closerlook.core import layout


@dataclass(frozen=True)
class Figure:
    """A figure's title, caption, and tables. `drawing.DRAW` has the function that draws it."""

    title: str
    caption: str
    tables: tuple[str, ...]

    @property
    def inputs(self) -> list[str]:
        """The files that it is drawn from, relative to the results folder."""
        return [layout.table(name) for name in self.tables]


FIGURES: dict[str, Figure] = {
    "token_shift": Figure(
        title="Token-distribution shift by size of the dataset",
        caption=(
            "Means over all response tokens (Figure 1 of the paper; ranks count from 1), with 95% intervals over responses. "
            "The sizes of each dataset are on a logarithmic scale, the datasets side by side."
        ),
        tables=("shift",),
    ),
    "kl_by_sentence_part": Figure(
        title="KL divergence at the start of sentences and after it",
        caption=(
            "Mean KL(base‖tuned) over the first 5% and the last 95% of each sentence's tokens (Figure 4 of the paper), with "
            "95% intervals over responses."
        ),
        tables=("kl_by_sentence_part",),
    ),
    "top_shifted_tokens": Figure(
        title="Most frequent tokens at shifted and marginal positions",
        caption=(
            "The most frequent tokens of each class and their share of its positions (Figure 12 of the paper), methods side by "
            "side, with 95% intervals over responses."
        ),
        tables=("top_shifted_tokens",),
    ),
    "lengths": Figure(
        title="Response lengths of the dataset and of the model",
        caption=(
            "Mean tokens of the responses that a model was tuned on (diamonds) and of the responses that it gives (dots), as in "
            "Table 11 of the paper, with 95% intervals over responses. Controls were not tuned."
        ),
        tables=("lengths",),
    ),
    "accuracy": Figure(
        title="Factual accuracy by who states the facts",
        caption=(
            "Shares of the questions about one fact whose answer states it right, and states it wrong, with 95% "
            "intervals over questions; taught facts by how many instances of the cell's data state them. Dashed: the share that "
            "guessing among the attribute's values would get right."
        ),
        tables=("accuracy",),
    ),
    "scores_by_aspect": Figure(
        title="Judges' scores by aspect",
        caption=(
            "Dots: mean scores without N/A, with 95% intervals over responses. Strokes: length-controlled scores, the "
            "mean if the cell's responses were as long as the average response of all cells."
        ),
        tables=("scores_by_aspect",),
    ),
    "scores_radar": Figure(
        title="Judges' scores by aspect, as polygons",
        caption=(
            "Mean scores, 1 to 5, as in Figures 2, 3 and 9 of the paper: a panel per model and dataset with at least three "
            "aspects, a polygon per cell and control. The figure of scores by aspect has the intervals."
        ),
        tables=("scores_by_aspect",),
    ),
    "origin": Figure(
        title="Do marked spans come from the instruction data?",
        caption=(
            "Share of the marked spans that come from the dataset by each criterion (Figure 8 of the paper), with 95% "
            "intervals over responses. Strokes: the level to compare with, which the criterion names after `vs`. "
            "Only `held out`, instances of the same dataset that were not tuned on, is the chance of finding a span that was not "
            "borrowed."
        ),
        tables=("origin",),
    ),
    "borrowing": Figure(
        title="Borrowing by n-gram length",
        caption=(
            "Observed: phrases of responses that occur in the instances that the cell was tuned on. Level: the same in instances "
            "of the dataset that it was not tuned on (held out), which is chance; where there are none, another comparison, that "
            "the legend names. Difference: observed minus level. With 95% intervals."
        ),
        tables=("borrowing",),
    ),
    "scores_by_task": Figure(
        title="Judges' scores by type of task",
        caption=(
            "Mean scores over the aspects, without N/A, of the responses to each type of task, with 95% intervals "
            "over responses."
        ),
        tables=("scores_by_task",),
    ),
    "tasks_radar": Figure(
        title="Judges' scores by type of task, as polygons",
        caption=(
            "Mean scores over the aspects, 1 to 5, as in Figure 9 of the paper: a panel per model and dataset with at least "
            "three types of task, a polygon per cell and control. The figure of scores by task has the intervals."
        ),
        tables=("scores_by_task",),
    ),
    "simplification": Figure(
        title="What simplified instruction data changed",
        caption=(
            "Pairs of responses by class, as in Figure 6 of the paper: the cell tuned on the simplified dataset compared with "
            "the one tuned on the original, a bar per cell and judge. Shares of the pairs that were decided; n is their number. "
            "The table has the intervals."
        ),
        tables=("simplification",),
    ),
    "tradeoff": Figure(
        title="What was learned against what was kept",
        caption=(
            "A line per method through its learning rates: to the right it learned more (taught facts right, or a lower loss on "
            "held-out instances), further down it kept less of what the base model knew. Where two lines meet, methods that "
            "learned the same kept the same. With 95% intervals; 0 is the base model."
        ),
        tables=("tradeoff",),
    ),
}
