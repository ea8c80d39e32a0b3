"""Every figure: what it shows, and which tables it is drawn from. As light to import as the tables' registry."""

from dataclasses import dataclass

from closerlook.core import layout


@dataclass(frozen=True)
class Figure:
    """One figure: what it shows, and the tables that it is drawn from (figures.drawing has what draws it)."""

    title: str
    caption: str
    tables: tuple[str, ...]

    @property
    def inputs(self) -> list[str]:
        """The files it is drawn from, relative to the results folder."""
        return [layout.table(name) for name in self.tables]


FIGURES: dict[str, Figure] = {
    "token_shift": Figure(
        title="Token-distribution shift by size of the dataset",
        caption=(
            "Means over all response tokens (Figure 1 of the paper; ranks count from 1), with 95% bootstrap intervals over "
            "responses. Sizes are on a logarithmic scale, each dataset beside the next."
        ),
        tables=("shift",),
    ),
    "kl_by_sentence_part": Figure(
        title="KL divergence at the start of sentences and after it",
        caption=(
            "Mean KL(base‖tuned) over the first 5% and the last 95% of each sentence's tokens (Figure 4 of the paper), with 95% "
            "bootstrap intervals over responses."
        ),
        tables=("kl_by_sentence_part",),
    ),
    "top_shifted_tokens": Figure(
        title="Most frequent tokens at shifted and marginal positions",
        caption=(
            "The first tokens of each class and their share of its positions (Figure 12 of the paper), methods side by side, "
            "with 95% bootstrap intervals over responses."
        ),
        tables=("top_shifted_tokens",),
    ),
    "lengths": Figure(
        title="Response lengths of the dataset and of the model",
        caption=(
            "Mean tokens of the responses a model was tuned on (diamonds) and of those it gives (dots), as in Table 11 of the "
            "paper, with 95% bootstrap intervals over responses. Controls were tuned on nothing."
        ),
        tables=("lengths",),
    ),
    "accuracy": Figure(
        title="Factual accuracy on known and unknown facts",
        caption=(
            "Shares of questions for one fact whose answer states it right, and states it wrong, with 95% bootstrap intervals "
            "over questions. Dashed: what guessing among the attribute's values would get right."
        ),
        tables=("accuracy",),
    ),
    "scores_by_aspect": Figure(
        title="Judges' scores by aspect",
        caption=(
            "Mean scores with 95% bootstrap intervals over responses (dots), N/A left out; strokes: length-controlled, what the "
            "mean would be if the cell's responses were as long as those of all cells are on average."
        ),
        tables=("scores_by_aspect",),
    ),
    "scores_radar": Figure(
        title="Judges' scores by aspect, as polygons",
        caption=(
            "Mean scores, 1 to 5, as in Figures 2, 3 and 9 of the paper: a polygon per cell and control, a panel per model and "
            "dataset with three aspects or more. Intervals do not show here: the figure of scores by aspect has them."
        ),
        tables=("scores_by_aspect",),
    ),
    "origin": Figure(
        title="Do marked spans come from the instruction data?",
        caption=(
            "Share of the marked spans that come from the dataset by each criterion (Figure 8 of the paper), with 95% "
            "bootstrap intervals over responses; strokes: the level to compare with, where a criterion has one (vs which). "
            "What a ranker places first was picked for the span, so its stroke (an instance picked for another response) is no "
            "chance of borrowing."
        ),
        tables=("origin",),
    ),
    "borrowing": Figure(
        title="Borrowing by n-gram length",
        caption=(
            "Phrases of responses that stand anywhere in the dataset that the cell was tuned on, those expected by chance, and "
            "(observed - chance) / (1 - chance), with 95% bootstrap intervals over responses. Corrected rates below -30% are not "
            "shown: where chance is near 1, they mean nothing."
        ),
        tables=("borrowing",),
    ),
    "scores_by_task": Figure(
        title="Judges' scores by type of task",
        caption=(
            "Mean scores over the aspects, N/A left out, of the responses to each type of task, with 95% bootstrap intervals "
            "over responses."
        ),
        tables=("scores_by_task",),
    ),
    "tasks_radar": Figure(
        title="Judges' scores by type of task, as polygons",
        caption=(
            "Mean scores over the aspects, 1 to 5, as in Figure 9 of the paper: a polygon per cell and control, a panel per "
            "model and dataset with three types of task or more. Intervals do not show here: the figure of scores by task has "
            "them."
        ),
        tables=("scores_by_task",),
    ),
    "simplification": Figure(
        title="What simplified instruction data changed",
        caption=(
            "Pairs of responses by class, as in Figure 6 of the paper: the cell tuned on the simplified dataset beside the one "
            "tuned on the dataset itself, a bar per cell and whoever compared them. Shares of the pairs that were decided, whose "
            "number stands behind the bar; the table has their intervals."
        ),
        tables=("simplification",),
    ),
}
