# Who scores the responses, and who compares those of two cells. An API model is called from where the network is; a chat model
# gets a GPU, the oracle a CPU.
from closerlook.config.judges import (
    AskSettings,
    LocalJudge,
    OpenAIJudge,
    OracleJudge,
)
from closerlook.judge.command import settings_flags

JUDGES = {name: CATALOG.judges[name] for name in CONFIG.preset.judges}
JUDGE_STAGE = "judge-{wildcards.judge}"  # one for each judge: all verdicts on an evalset are in one folder


def judges_of(kind):
    return [name for name, judge in JUDGES.items() if isinstance(judge, kind)]


def judge_flags(wildcards):
    """Everything that decides what a judge says, except its inputs and its prompt's text."""
    judge = JUDGES[wildcards.judge]
    flags = settings_flags(judge, AskSettings)
    return f"{flags} {llm_flags(judge)}" if isinstance(judge, OpenAIJudge) else flags


def judge_prompt(wildcards):
    return JUDGES[wildcards.judge].prompt_file


def prompt_digest(wildcards):
    return sha256(Path(judge_prompt(wildcards)))


def judge_identity(wildcards):
    return judge_flags(wildcards) + prompt_digest(wildcards)


def judging(wildcards, attempt):
    return RESOURCES.judge(
        cell_of(wildcards), wildcards.evalset, wildcards.judge, attempt
    )


def comparer(wildcards):
    """Who compares the responses of a pair of cells; None for people, whose labels are in a file."""
    return CATALOG.judges.get(wildcards.comparer)


def comparer_files(wildcards):
    judge = comparer(wildcards)
    if judge is None:
        return CONFIG.preset.comparison.labels
    if isinstance(judge, OracleJudge):
        return at(layout.world())
    return ancient(CONFIG.preset.comparison.prompt_file)


def comparer_flags(wildcards, input):
    judge, file = comparer(wildcards), shlex.quote(str(input.by))
    if judge is None:
        return f"--labels {file} --cell {cell_of(wildcards).name}"
    if isinstance(judge, OracleJudge):
        return f"{llm_flags(judge)} --world {file}"
    return f"{llm_flags(judge)} --prompt-file {file}"


def comparison_prompt_digest(wildcards):
    if isinstance(comparer(wildcards), OpenAIJudge):
        return sha256(Path(CONFIG.preset.comparison.prompt_file))
    return ""


def original_responses(wildcards):
    original = CONFIG.originals[cell_of(wildcards)].name
    return at(layout.responses(original, wildcards.evalset))


wildcard_constraints:
    judge=one_of(JUDGES),


localrules:
    judge_api,
    judge_model,
    compare,


rule judge_api:
    """Verdicts of an API model. Runs where the network is; every answer is stored in results/judge_cache.sqlite."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        evalset=at(layout.evalset(EVALSET)),
        prompt=lambda wildcards: ancient(judge_prompt(wildcards)),
    output:
        at(layout.verdicts(CELL, EVALSET, "{judge}")),
    log:
        at(layout.log("judge", CELL, EVALSET, "{judge}")),
    wildcard_constraints:
        judge=one_of(judges_of(OpenAIJudge)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(judging),
    params:
        flags=judge_flags,
        prompt=prompt_digest,
        supervised=supervised(JUDGE_STAGE, judge_identity),
        pace=lambda wildcards, resources: pace_flags(
            JUDGES[wildcards.judge], CONFIG.preset
        ),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("judge")
        + " --responses {input.responses} --evalset {input.evalset}"
        f" --cache {ANSWER_CACHE}"
        " --out {output} {params.flags} {params.pace} 2> {log}"


rule judge_model:
    """A chat model that judges, in one folder. Runs where the network is."""
    output:
        directory(at(layout.judge("{judge}"))),
    log:
        at(layout.log("judges", "{judge}")),
    wildcard_constraints:
        judge=one_of(judges_of(LocalJudge)),
    conda:
        "../../envs/closerlook.yaml"
    params:
        source=at(layout.judge_source("{judge}")),
        identity=lambda wildcards: SOURCES.judge(wildcards.judge).model_dump(),
    shell:
        python("fetch_model") + " --source {params.source} --out {output} 2> {log}"


rule judge_local:
    """Verdicts of a chat model on this machine. Its answers are stored next to them, since no two machines can share a cache."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        evalset=at(layout.evalset(EVALSET)),
        judge=at(layout.judge("{judge}")),
        prompt=lambda wildcards: ancient(judge_prompt(wildcards)),
    output:
        at(layout.verdicts(CELL, EVALSET, "{judge}")),
    log:
        at(layout.log("judge", CELL, EVALSET, "{judge}")),
    wildcard_constraints:
        judge=one_of(judges_of(LocalJudge)),
    conda:
        "../../envs/closerlook.yaml"
    threads: lambda wildcards: JUDGES[wildcards.judge].threads
    resources:
        **job_resources(judging),
    params:
        flags=judge_flags,
        prompt=prompt_digest,
        supervised=supervised(JUDGE_STAGE, judge_identity),
        batch_size=lambda wildcards, resources: halved(
            JUDGES[wildcards.judge].batch_size, resources
        ),
        cache=lambda wildcards, output: str(
            Path(output[0]).with_name(f".{wildcards.judge}.sqlite")
        ),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("judge")
        + " --judge local --model {input.judge} --responses {input.responses} --evalset {input.evalset}"
        " --cache {params.cache} --batch-size {params.batch_size} --out {output} {params.flags} 2> {log}"


rule judge_oracle:
    """Verdicts of the miniature's own judge."""
    input:
        responses=at(layout.responses(CELL, EVALSET)),
        evalset=at(layout.evalset(EVALSET)),
        world=at(layout.world()),
    output:
        at(layout.verdicts(CELL, EVALSET, "{judge}")),
    log:
        at(layout.log("judge", CELL, EVALSET, "{judge}")),
    wildcard_constraints:
        judge=one_of(judges_of(OracleJudge)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **job_resources(judging),
    params:
        supervised=supervised(JUDGE_STAGE),
    shell:
        "{params.supervised} --log {log} -- python "
        + script("judge")
        + " --judge oracle --world {input.world} --responses {input.responses} --evalset {input.evalset}"
        " --out {output} 2> {log}"


rule compare:
    """The responses of a cell tuned on a simplified dataset, compared with those of the cell tuned on the dataset itself. Runs where
    the network is."""
    input:
        original=original_responses,
        simplified=at(layout.responses(CELL, EVALSET)),
        evalset=at(layout.evalset(EVALSET)),
        by=comparer_files,
    output:
        at(layout.pairwise(CELL, EVALSET, "{comparer}")),
    log:
        at(layout.log("compare", CELL, EVALSET, "{comparer}")),
    wildcard_constraints:
        dataset=one_of(cell.dataset for cell in CONFIG.originals),
        comparer=one_of(CONFIG.preset.comparison.comparers),
    conda:
        "../../envs/closerlook.yaml"
    params:
        by=comparer_flags,
        prompt=comparison_prompt_digest,
        pace=lambda wildcards, resources: pace_flags(comparer(wildcards), CONFIG.preset),
    shell:
        python("compare")
        + " --original {input.original} --simplified {input.simplified} --evalset {input.evalset}"
        " {params.by} {params.pace} --out {output} 2> {log}"
