# Who scores the responses. A judge behind an endpoint is asked from where the network is; a chat model gets a GPU, the oracle a CPU.
wildcard_constraints:
    judge=one_of(JUDGES),


localrules:
    judge_api,
    judge_model,


rule judge_api:
    """Verdicts of a model behind an endpoint. Runs where the network is; every answer is kept in results/judge_cache.sqlite."""
    input:
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        evalset="results/{preset}/evalsets/{evalset}.parquet",
        prompt=prompt_of,
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/verdicts/{judge}.parquet",
    log:
        "results/{preset}/logs/judge/{model}/{dataset}/{run}/{evalset}/{judge}.log",
    wildcard_constraints:
        judge=one_of(judges_of(OpenAIJudge)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(judging),
    params:
        asked=asked_with,
        prompt=prompt_digest,
        supervised=supervised(JUDGE_STAGE, judge_identity),
        pace=pace_of,
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/judge.py --responses {input.responses}"
        " --evalset {input.evalset} --cache results/judge_cache.sqlite --out {output} {params.asked} {params.pace} 2> {log}"


rule judge_model:
    """A chat model that judges, in one folder. Runs where the network is."""
    output:
        directory("results/{preset}/judges/{judge}"),
    log:
        "results/{preset}/logs/judges/{judge}.log",
    wildcard_constraints:
        judge=one_of(judges_of(LocalJudge)),
    conda:
        "../../envs/closerlook.yaml"
    params:
        source=lambda wildcards: json_flag(judge_source(wildcards)),
    shell:
        "python workflow/scripts/fetch_model.py --source {params.source} --out {output} 2> {log}"


rule judge_local:
    """Verdicts of a chat model that runs here. Its answers are kept beside them, since no two machines can share a cache."""
    input:
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        evalset="results/{preset}/evalsets/{evalset}.parquet",
        judge="results/{preset}/judges/{judge}",
        prompt=prompt_of,
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/verdicts/{judge}.parquet",
    log:
        "results/{preset}/logs/judge/{model}/{dataset}/{run}/{evalset}/{judge}.log",
    wildcard_constraints:
        judge=one_of(judges_of(LocalJudge)),
    conda:
        "../../envs/closerlook.yaml"
    threads: lambda wildcards: JUDGES[wildcards.judge].threads
    resources:
        **asks(judging),
    params:
        asked=asked_with,
        prompt=prompt_digest,
        supervised=supervised(JUDGE_STAGE, judge_identity),
        batch_size=judge_batch,
        cache=lambda wildcards, output: str(
            Path(output[0]).with_name(f".{wildcards.judge}.sqlite")
        ),
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/judge.py --judge local --model {input.judge}"
        " --responses {input.responses} --evalset {input.evalset} --cache {params.cache} --batch-size {params.batch_size}"
        " --out {output} {params.asked} 2> {log}"


rule judge_oracle:
    """Verdicts of the miniature's own judge."""
    input:
        responses="results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/responses.parquet",
        evalset="results/{preset}/evalsets/{evalset}.parquet",
        world="results/{preset}/miniature/world.json",
    output:
        "results/{preset}/cells/{model}/{dataset}/{run}/{evalset}/verdicts/{judge}.parquet",
    log:
        "results/{preset}/logs/judge/{model}/{dataset}/{run}/{evalset}/{judge}.log",
    wildcard_constraints:
        judge=one_of(judges_of(OracleJudge)),
    conda:
        "../../envs/closerlook.yaml"
    resources:
        **asks(judging),
    params:
        supervised=supervised(JUDGE_STAGE, lambda wildcards: ""),
    shell:
        "{params.supervised} --log {log} -- python workflow/scripts/judge.py --judge oracle --world {input.world}"
        " --responses {input.responses} --evalset {input.evalset} --out {output} 2> {log}"
