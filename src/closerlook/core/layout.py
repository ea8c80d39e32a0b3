"""Every path under a results folder (results/<preset>/), relative to it: the only place that spells them.

Arguments are names, or placeholders of a caller that fills them in later: `responses("{cell}", "{evalset}")` is a template of
a table, and a rule takes `cell` as "{model}/{dataset}/{run}". `dataset` is always as in a cell's name, with its size
(`alpaca@1k`), unless it is the whole dataset (`alpaca`).
"""

GRID = "grid.json"
GRID_CSV = "grid.csv"
PAGE = "report/index.html"
PLAN = "plan.json"
BENCHMARK_INDEX = "task.json"
"""In a folder of `benchmark_data`: what was fetched."""
PLAN_TEXT = "plan.txt"
ANSWER_CACHE = "judge_cache.sqlite"
"""Shared by all presets: it is stored in results/ itself."""


# ------------------------------------------------------------------------------------------------------------ data and models
def dataset(dataset: str) -> str:
    """Instances (schemas.INSTANCES)."""
    return f"data/{dataset}.parquet"


def dataset_source(dataset: str) -> str:
    """Where its rows come from, or how it is derived; written before it is made."""
    return f"data/{dataset}.source.json"


def dataset_report(dataset: str) -> str:
    """What became of every row of its source."""
    return f"data/{dataset}.report.json"


def index(dataset: str) -> str:
    """Folder of the dataset's lexical index."""
    return f"data/index/{dataset}"


def embeddings(dataset: str) -> str:
    """Folder of the dataset's sentence embeddings."""
    return f"data/embeddings/{dataset}"


def contamination(dataset: str, evalset: str) -> str:
    """Instructions of the evalset that the dataset contains too."""
    return f"data/contamination/{dataset}/{evalset}.parquet"


def evalset(evalset: str) -> str:
    """Instructions that cells answer (schemas.EVALSET)."""
    return f"evalsets/{evalset}.parquet"


def evalset_source(evalset: str) -> str:
    """Where its instructions come from; written before it is made."""
    return f"evalsets/{evalset}.source.json"


def evalset_report(evalset: str) -> str:
    """What became of every row of its source."""
    return f"evalsets/{evalset}.report.json"


def text(text: str) -> str:
    """Pieces of a general text (schemas.TEXT)."""
    return f"texts/{text}.parquet"


def text_source(text: str) -> str:
    """Where it comes from; written before it is fetched."""
    return f"texts/{text}.source.json"


def text_report(text: str) -> str:
    """What became of every piece of its source."""
    return f"texts/{text}.report.json"


def model(model: str) -> str:
    """Folder of a base model: safetensors and tokenizer."""
    return f"models/{model}"


def model_source(model: str) -> str:
    """Where its weights come from; written before it is fetched."""
    return f"models/{model}.source.json"


def judge(judge: str) -> str:
    """Folder of a chat model that judges on this machine."""
    return f"judges/{judge}"


def judge_source(judge: str) -> str:
    """Where its weights come from; written before it is fetched."""
    return f"judges/{judge}.source.json"


def miniature(world: str = "") -> str:
    """Folder of a world of the miniature; `world` is empty for the first, else -1, -2, ..."""
    return f"miniature{world}"


def world(world: str = "") -> str:
    """The facts of a world of the miniature."""
    return f"{miniature(world)}/world.json"


def corpus(world: str = "") -> str:
    """The pre-training corpus of a world."""
    return f"{miniature(world)}/corpus.txt"


def miniature_evalset(name: str, world: str = "") -> str:
    """Questions on a world: questions, or planted."""
    return f"{miniature(world)}/{name}.jsonl"


def miniature_dataset(name: str, world: str = "") -> str:
    """Instruction data on a world: of a style, or planted."""
    return f"{miniature(world)}/datasets/{name}.jsonl"


def miniature_text(name: str, world: str = "") -> str:
    """General text about a world: corpus."""
    return f"{miniature(world)}/texts/{name}.jsonl"


def trials(world: str) -> str:
    """The made-up answers of a world of trials, and their sources (schemas.TRIALS)."""
    return f"trials/{world}/answers.parquet"


def trial_instances(world: str) -> str:
    """The instances that these are traced in (schemas.INSTANCES)."""
    return f"trials/{world}/instances.parquet"


def trial_trace(world: str) -> str:
    """Candidate sources of each answer (schemas.TRACE)."""
    return f"trials/{world}/trace.parquet"


def tasks(world: str = "") -> str:
    """The list of the benchmark tasks on a world; their items are in tasks/ next to it."""
    return f"{miniature(world)}/tasks.yaml"


def benchmark_data(task: str) -> str:
    """Folder of the data of a task of lm-evaluation-harness."""
    return f"benchmarks/{task}"


def benchmark_source(task: str) -> str:
    """Which task of lm-evaluation-harness it is; written before its data are fetched."""
    return f"benchmarks/{task}.source.json"


# -------------------------------------------------------------------------------------------------------------------- a cell
def cell(cell: str) -> str:
    """Folder of a cell."""
    return f"cells/{cell}"


def cell_config(cell: str) -> str:
    """All that decides the result of a cell's training, written before it starts."""
    return f"cells/{cell}/config.json"


def tuned_model(cell: str) -> str:
    """Folder of the tuned model: an adapter, or weights and tokenizer."""
    return f"cells/{cell}/model"


def train_log(cell: str) -> str:
    """One line of JSON per optimizer step."""
    return f"cells/{cell}/train_log.jsonl"


def manifest(cell: str) -> str:
    """What the training was; written last, so it says that the cell is trained."""
    return f"cells/{cell}/manifest.json"


def benchmark(cell: str, task: str) -> str:
    """Scores on the items of a benchmark task (schemas.BENCHMARK)."""
    return f"cells/{cell}/benchmarks/{task}.parquet"


def retention(cell: str, text: str) -> str:
    """How likely the cell and its base find each piece of a general text (schemas.RETENTION)."""
    return f"cells/{cell}/retention/{text}.parquet"


# -------------------------------------------------------------------------------------------------- a cell and an evalset
def responses(cell: str, evalset: str) -> str:
    """Responses to the evalset (schemas.RESPONSES)."""
    return f"cells/{cell}/{evalset}/responses.parquet"


def shift(cell: str, evalset: str) -> str:
    """Shift of each response token (schemas.SHIFT)."""
    return f"cells/{cell}/{evalset}/shift.parquet"


def words(cell: str, evalset: str) -> str:
    """Shifted and marginal words, and the instances that contain them (schemas.WORDS)."""
    return f"cells/{cell}/{evalset}/words.parquet"


def borrowing(cell: str, evalset: str) -> str:
    """Phrases found in datasets, and in what these are compared with (schemas.BORROWING)."""
    return f"cells/{cell}/{evalset}/borrowing.parquet"


def verdicts(cell: str, evalset: str, judge: str) -> str:
    """A judge's scores (schemas.VERDICTS)."""
    return f"cells/{cell}/{evalset}/verdicts/{judge}.parquet"


def pairwise(cell: str, evalset: str, comparer: str) -> str:
    """Comparisons with the cell tuned on the dataset that was not simplified (schemas.PAIRWISE)."""
    return f"cells/{cell}/{evalset}/pairwise/{comparer}.parquet"


def samples(cell: str, evalset: str, marker: str) -> str:
    """Several sampled responses to each instruction (schemas.RESPONSES)."""
    return f"cells/{cell}/{evalset}/samples/{marker}.parquet"


def spans(cell: str, evalset: str, marker: str) -> str:
    """Spans that a marker marked as hallucinated (schemas.SPANS)."""
    return f"cells/{cell}/{evalset}/spans/{marker}.parquet"


def trace(cell: str, evalset: str, marker: str) -> str:
    """Candidate sources of each span (schemas.TRACE)."""
    return f"cells/{cell}/{evalset}/trace/{marker}.parquet"


def attribution(cell: str, evalset: str, marker: str) -> str:
    """Instances ranked by gradient influence on each span (schemas.ATTRIBUTION)."""
    return f"cells/{cell}/{evalset}/attribution/{marker}.parquet"


def likelihood(cell: str, evalset: str, marker: str) -> str:
    """Log-probability of each span under the base and related models (schemas.LIKELIHOOD)."""
    return f"cells/{cell}/{evalset}/likelihood/{marker}.parquet"


def retrained(cell: str, evalset: str, marker: str) -> str:
    """Log-probability of each span under the models that were tuned on parts of the cell's dataset (schemas.LIKELIHOOD)."""
    return f"cells/{cell}/{evalset}/retrained/{marker}.parquet"


def instance_scores(cell: str, evalset: str, marker: str) -> str:
    """Every ranker's score of every instance, for each span (schemas.INSTANCE_SCORES)."""
    return f"cells/{cell}/{evalset}/instance_scores/{marker}.parquet"


def cases(cell: str, evalset: str, marker: str) -> str:
    """Case sheets for people to read, in Markdown."""
    return f"cases/{cell}/{evalset}/{marker}.md"


# ---------------------------------------------------------------------------------------------------------- what people read
def table(name: str, form: str = "csv") -> str:
    """A table: csv, md or tex."""
    return f"tables/{name}.{form}"


def figure(name: str, form: str = "svg") -> str:
    """A figure: svg, png, pdf, or md with its caption."""
    return f"figures/{name}.{form}"


def log(stage: str, *names: str) -> str:
    """Messages of a job: `log("shift", cell, evalset)`."""
    return f"logs/{'/'.join((stage, *names))}.log"
