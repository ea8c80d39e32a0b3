"""Every figure: what it shows, and which tables it is drawn from. As light to import as the tables' registry."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure. `draw` takes each table's rows, in the order of `tables`, and returns a matplotlib figure."""

    title: str
    caption: str
    tables: tuple[str, ...]
    draw: str

    @property
    def inputs(self) -> list[str]:
        """The files it is drawn from, relative to the results folder."""
        return [f"tables/{name}.csv" for name in self.tables]


FIGURES: dict[str, Figure] = {
    "token_shift": Figure(
        title="Token-distribution shift by size of the dataset",
        caption=(
            "Means over all response tokens (Figure 1 of the paper; ranks count from 1), with 95% bootstrap intervals over "
            "responses. Sizes are on a logarithmic scale, each dataset beside the next."
        ),
        tables=("shift",),
        draw="closerlook.figures.token_shift:draw",
    ),
    "kl_by_sentence_part": Figure(
        title="KL divergence at the start of sentences and after it",
        caption=(
            "Mean KL(base‖tuned) over the first 5% and the last 95% of each sentence's tokens (Figure 4 of the paper), with 95% "
            "bootstrap intervals over responses."
        ),
        tables=("kl_by_sentence_part",),
        draw="closerlook.figures.sentence_parts:draw",
    ),
    "top_shifted_tokens": Figure(
        title="Most frequent tokens at shifted and marginal positions",
        caption=(
            "The first tokens of each class and their share of its positions (Figure 12 of the paper), methods side by side, "
            "with 95% bootstrap intervals over responses."
        ),
        tables=("top_shifted_tokens",),
        draw="closerlook.figures.top_tokens:draw",
    ),
    "lengths": Figure(
        title="Response lengths of the dataset and of the model",
        caption=(
            "Mean tokens of the responses a model was tuned on (diamonds) and of those it gives (dots), as in Table 11 of the "
            "paper, with 95% bootstrap intervals over responses. Controls were tuned on nothing."
        ),
        tables=("lengths",),
        draw="closerlook.figures.lengths:draw",
    ),
    "accuracy": Figure(
        title="Factual accuracy on known and unknown facts",
        caption=(
            "Shares of questions for one fact whose answer states it right, and states it wrong, with 95% bootstrap intervals "
            "over questions. Dashed: what guessing among the attribute's values would get right."
        ),
        tables=("accuracy",),
        draw="closerlook.figures.accuracy:draw",
    ),
    "scores_by_aspect": Figure(
        title="Judges' scores by aspect",
        caption=(
            "Mean scores with 95% bootstrap intervals over responses (dots), N/A left out; strokes: length-controlled, what the "
            "mean would be if the cell's responses were as long as those of all cells are on average."
        ),
        tables=("scores_by_aspect",),
        draw="closerlook.figures.scores:draw",
    ),
    "scores_radar": Figure(
        title="Judges' scores by aspect, as polygons",
        caption=(
            "Mean scores, 1 to 5, as in Figures 2, 3 and 9 of the paper: a polygon per cell and control, a panel per model and "
            "dataset. Intervals do not show here: the figure of scores by aspect has them."
        ),
        tables=("scores_by_aspect",),
        draw="closerlook.figures.radar:draw",
    ),
}
