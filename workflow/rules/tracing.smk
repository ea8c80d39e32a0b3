# Spans, words and their chance levels: the helper functions of whatever marks, traces and tests for a cause.
from closerlook.config.markers import (
    ConsistencyMarker,
    HumanMarker,
    JudgeMarker,
    MarkPrompt,
    OracleMarker,
)

MARKERS = {name: CATALOG.markers[name] for name in CONFIG.preset.all_markers}
TRACING = CONFIG.preset.tracing
SPANS_STAGE = "spans-{wildcards.marker}"


def markers_of(kind):
    return [name for name, marker in MARKERS.items() if isinstance(marker, kind)]


def watched(hours, gigabytes):
    return lambda wildcards, attempt: RESOURCES.watched(hours, gigabytes, attempt)


def working(folder, stage):
    """What runs a cell's models and writes into a folder of its evalset's."""
    return lambda wildcards, attempt: RESOURCES.evaluate(
        cell_of(wildcards),
        f"{wildcards.evalset}/{folder}",
        stage.format(marker=wildcards.marker),
        attempt,
    )


def marking_judge(wildcards):
    return CATALOG.judges[MARKERS[wildcards.marker].judge]


def marker_asked(wildcards):
    """All that decides which spans a model quotes, beside its inputs and its prompt's text."""
    return f"{part_of(MARKERS[wildcards.marker], MarkPrompt)} {asked(marking_judge(wildcards))}"


def marker_pace(wildcards, resources):
    return paced(marking_judge(wildcards))


def sample_settings(wildcards):
    consistency = MARKERS[wildcards.marker].consistency
    drawn = {"temperature": consistency.temperature, "seed": consistency.seed}
    settings = CONFIG.generate_settings(cell_of(wildcards)).model_copy(update=drawn)
    return f"--samples {consistency.samples} {as_flags(settings)}"


def sample_identity(wildcards):
    return sample_settings(wildcards) + CONFIG.template_digest(cell_of(wildcards))


def own_embeddings(wildcards):
    return embeddings_of(wildcards.dataset)


def embeddings_of(dataset):
    """Those of the largest subset that is searched, whose first ones are every smaller one's."""
    name, _ = dataset_and_size(dataset)
    sizes = {
        one: size or float("inf")
        for one in CONFIG.traced.indexed
        for of, size in [dataset_and_size(one)]
        if of == name
    }
    return f"results/{PRESET}/data/embeddings/{max(sizes, key=sizes.get)}"


def folders_of(dataset):
    """What a dataset is searched with."""
    return [f"results/{PRESET}/data/index/{dataset}", embeddings_of(dataset)]


def searched(wildcards):
    return CONFIG.traced.searched(cell_of(wildcards), wildcards.evalset)


def searched_folders(wildcards):
    return [folder for name in searched(wildcards) for folder in folders_of(name)]


def unrelated_folders(wildcards):
    name = CONFIG.traced.unrelated(cell_of(wildcards))
    return folders_of(name) if name else []


def base_responses(wildcards):
    base = CONFIG.traced.base_cell(cell_of(wildcards), wildcards.evalset)
    return (
        f"results/{PRESET}/cells/{base}/{wildcards.evalset}/responses.parquet"
        if base
        else []
    )


def spans_of(wildcards):
    markers = CONFIG.traced.markers(cell_of(wildcards), wildcards.evalset)
    cell = f"results/{PRESET}/cells/{cell_of(wildcards).name}"
    return [f"{cell}/{wildcards.evalset}/spans/{marker}.parquet" for marker in markers]


def attribution_of(wildcards):
    cell = cell_of(wildcards).name
    if cell not in TRACING.attribution:
        return []
    folder = f"results/{PRESET}/cells/{cell}/{wildcards.evalset}/attribution"
    return f"{folder}/{wildcards.marker}.parquet"


def borrowing_flags(wildcards, input):
    """What is searched, and against what chance."""
    flags = [
        f"--search {name} {' '.join(folders_of(name))}" for name in searched(wildcards)
    ]
    if input.unrelated:
        flags.append(f"--unrelated {input.unrelated}")
    if input.base:
        flags.append(f"--base-responses {input.base}")
    return f"{' '.join(flags)} --neighbours {TRACING.neighbours} --seed {TRACING.seed}"


def peers_of(wildcards):
    """The models tuned on the same data, by their run."""
    folder = f"results/{PRESET}/cells"
    return {
        peer.run: f"{folder}/{peer.name}/model"
        for peer in CONFIG.traced.peers(cell_of(wildcards))
    }


def ablation_of(wildcards):
    """Which instances are left out of a dataset."""
    return derivation(wildcards).without


def ablated_folder(wildcards):
    ablation = ablation_of(wildcards)
    return f"results/{PRESET}/cells/{ablation.cell}/{ablation.evalset}"


def ablated_dataset(wildcards):
    return CONFIG.cell_of[ablation_of(wildcards).cell].dataset


def paraphrase_source(wildcards):
    return CATALOG.evalsets[wildcards.evalset].source


def paraphrase_judge(wildcards):
    return CATALOG.judges[paraphrase_source(wildcards).paraphrase.by]


def paraphrase_prompt(wildcards):
    if isinstance(paraphrase_judge(wildcards), OpenAIJudge):
        return [paraphrase_source(wildcards).paraphrase.prompt_file]
    return []


def peer_responses(wildcards):
    """What the other cells tuned on the same data answer, by their run."""
    evalset, cell = wildcards.evalset, cell_of(wildcards)
    peers = [peer for peer in CONFIG.traced.peers(cell) if peer != cell]
    return {
        peer.run: f"results/{PRESET}/cells/{peer.name}/{evalset}/responses.parquet"
        for peer in peers
        if evalset in CONFIG.cells[peer]
    }


def paraphrase_files(wildcards):
    """An evalset in other words and the cell's answers to it, where there is one."""
    cell = cell_of(wildcards)
    return [
        file
        for name in CONFIG.traced.paraphrased(cell, wildcards.evalset)[:1]
        for file in (
            f"results/{PRESET}/evalsets/{name}.parquet",
            f"results/{PRESET}/cells/{cell.name}/{name}/responses.parquet",
        )
    ]


def case_labels(wildcards):
    return {
        "cell": f"{wildcards.model}/{wildcards.dataset}/{wildcards.run}",
        "evalset": wildcards.evalset,
        "marker": wildcards.marker,
    }


CASE_FILES = [
    f"results/{PRESET}/cases/{row['cell']}/{row['evalset']}/{marker}.md"
    for row in CONFIG.rows
    if row["searched"]
    for marker in row["markers"].split()
]
