# How judges are asked: the helper functions of whatever scores, compares or simplifies responses.
from closerlook.config.derived import SimplifiedSource
from closerlook.config.judges import (
    AskSettings,
    LocalJudge,
    OpenAIJudge,
    OracleJudge,
    PaceSettings,
    ServerSettings,
)
from closerlook.config.settings import FolderModel, HubModel
from closerlook.core.files import sha256

JUDGE_STAGE = "judge-{wildcards.judge}"  # one for each judge: all verdicts on an evalset lie in one folder
JUDGES = {name: CATALOG.judges[name] for name in CONFIG.preset.judges}


def judges_of(kind):
    return [name for name, judge in JUDGES.items() if isinstance(judge, kind)]


def asked_with(wildcards):
    """All that decides what a judge says, beside its inputs: the name of its model, its settings, and its prompt's text."""
    judge = JUDGES[wildcards.judge]
    flags = part_of(judge, AskSettings)
    return f"{flags} {asked(judge)}" if isinstance(judge, OpenAIJudge) else flags


def prompt_digest(wildcards):
    return sha256(Path(JUDGES[wildcards.judge].prompt_file))


def prompt_of(wildcards):
    return ancient(JUDGES[wildcards.judge].prompt_file)


def pace_of(wildcards, resources):
    """Asks for `resources` so that Snakemake takes it for derived: no score depends on it."""
    return paced(JUDGES[wildcards.judge])


def judge_source(wildcards):
    judge = JUDGES[wildcards.judge]
    if Path(judge.local).is_dir():
        return FolderModel(folder=judge.local)
    return HubModel(hub=judge.local, revision=judge.revision)


def judging(wildcards, attempt):
    return RESOURCES.judge(
        cell_of(wildcards), wildcards.evalset, wildcards.judge, attempt
    )


def judge_identity(wildcards):
    return asked_with(wildcards) + prompt_digest(wildcards)


def judge_batch(wildcards, resources):
    return halved(JUDGES[wildcards.judge].batch_size, resources)


def answering_judge(wildcards):
    """The judge whose endpoint answers for a model that has no weights here."""
    return CATALOG.judges[CATALOG.models[wildcards.model].source.endpoint]


def answering(wildcards, attempt):
    return RESOURCES.watched(1, 4, attempt)


def answer_identity(wildcards):
    return asked(answering_judge(wildcards)) + generation_digest(wildcards)


def simplifying_judge(wildcards):
    source = derivation(wildcards)
    if isinstance(source, SimplifiedSource):
        return CATALOG.judges[source.simplify.by]
    return None


def simplify_prompt(wildcards):
    judge = simplifying_judge(wildcards)
    if isinstance(judge, OpenAIJudge):
        return [derivation(wildcards).simplify.prompt_file]
    return []


def part_of(judge, part):
    """Some of a judge's settings, as flags."""
    return as_flags(
        part.model_validate(judge.model_dump(include=set(part.model_fields)))
    )


def asked(judge):
    """Who writes or compares responses, as flags: what decides the answers, but for the prompt and their length."""
    if judge is None:
        return ""
    if isinstance(judge, OracleJudge):
        return "--judge oracle"
    return f"--judge openai --model {shlex.quote(judge.openai)} {part_of(judge, ServerSettings)}"


def paced(judge):
    """How fast and at which price it is asked, and the most that may be spent. Changes no answer."""
    if not isinstance(judge, OpenAIJudge):
        return ""
    flags = f"{part_of(judge, PaceSettings)} --purpose {PRESET}"
    if CONFIG.preset.judge_budget is not None:
        flags += f" --budget {CONFIG.preset.judge_budget}"
    return flags


def comparer(wildcards):
    """Who compares the responses of a pair of cells; None for people, whose labels lie in a file."""
    return CATALOG.judges.get(wildcards.comparer)


def comparer_files(wildcards):
    judge = comparer(wildcards)
    if judge is None:
        return CONFIG.preset.comparison.labels
    if isinstance(judge, OracleJudge):
        return f"results/{wildcards.preset}/miniature/world.json"
    return ancient(CONFIG.preset.comparison.prompt_file)


def comparing(wildcards, input):
    judge = comparer(wildcards)
    if judge is None:
        return f"--labels {shlex.quote(str(input.by))} --cell {cell_of(wildcards).name}"
    if isinstance(judge, OracleJudge):
        return f"{asked(judge)} --world {input.by}"
    return f"{asked(judge)} --prompt-file {shlex.quote(str(input.by))}"


def original_responses(wildcards):
    original = CONFIG.originals[cell_of(wildcards)].name
    return f"results/{wildcards.preset}/cells/{original}/{wildcards.evalset}/responses.parquet"
