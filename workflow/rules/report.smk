# What people read: tables, figures and the page.
import subprocess

from closerlook.cluster.status import status
from closerlook.cluster.status_text import lines as status_lines
from closerlook.config.rows import write_grid

SHOWN = [name for name, table in TABLES.items() if table.fits(GRID)]
TABLE_FILES = [at(layout.table(name)) for name in SHOWN]
FIGURE_FILES = [
    at(layout.figure(name))
    for name, figure in FIGURES.items()
    if set(figure.tables) <= set(SHOWN)
]
MANIFESTS = [at(layout.manifest(cell.name)) for cell in TRAINED]
CELL_FILES = [at(stage.file) for cell in CONFIG.cells for stage in stages(CONFIG, cell)]


def table_inputs(wildcards):
    return [at(file) for file in TABLES[wildcards.table].inputs(GRID)]


def figure_inputs(wildcards):
    return [at(file) for file in FIGURES[wildcards.figure].inputs]


def labels(wildcards):
    """The label of a table or figure in Snakemake's report."""
    shown = FIGURES.get(wildcards.get("figure")) or TABLES[wildcards.table]
    return {"shows": shown.title}


def draw_partial_report():
    """After a failure: draw what can be drawn, and print why the rest cannot."""
    program = source_file("../scripts/partial_report.py")
    profile = [] if workflow.local_exec else ["--profile", "slurm"]
    words = ["--results", RESULTS, *profile, *CONFIG_WORDS, "--", *SHOWN]
    subprocess.run(["python", program, *words], check=False)


localrules:
    grid,
    table,
    figure,
    page,


rule grid:
    """The cells that the tables are about, and a copy for people."""
    output:
        grid=at(layout.GRID),
        export=at(layout.GRID_CSV),
    log:
        at(layout.log("grid")),
    params:
        rows=GRID,
    run:
        write_grid(ROWS, Path(output.grid).parent)


rule table:
    """One table: CSV, and Markdown and LaTeX drawn from it."""
    input:
        at(layout.GRID),
        table_inputs,
    output:
        csv=report(
            at(layout.table("{table}")),
            caption="../report/table.rst",
            category="Tables",
            labels=labels,
        ),
        markdown=at(layout.table("{table}", "md")),
        latex=at(layout.table("{table}", "tex")),
    log:
        at(layout.log("tables", "{table}")),
    conda:
        "../../envs/closerlook.yaml"
    params:
        caption=lambda wildcards: TABLES[wildcards.table].description,
    shell:
        python("table")
        + " {wildcards.table} --results "
        + RESULTS
        + " --out {output.csv} 2> {log}"


rule figure:
    """One figure, drawn from its table, and a page with its caption."""
    input:
        figure_inputs,
    output:
        svg=report(
            at(layout.figure("{figure}")),
            caption="../report/figure.rst",
            category="Figures",
            labels=labels,
        ),
        png=at(layout.figure("{figure}", "png")),
        pdf=at(layout.figure("{figure}", "pdf")),
        page=at(layout.figure("{figure}", "md")),
    log:
        at(layout.log("figures", "{figure}")),
    conda:
        "../../envs/closerlook.yaml"
    params:
        caption=lambda wildcards: FIGURES[wildcards.figure].caption,
    shell:
        python("figure")
        + " {wildcards.figure} --results "
        + RESULTS
        + " --out {output.svg} 2> {log}"


rule page:
    """The static site that people look at: tables, figures, every response, and a way to annotate them."""
    input:
        CELL_FILES,
        TABLE_FILES,
        FIGURE_FILES,
        at(layout.GRID),
    output:
        at(layout.PAGE),
    log:
        at(layout.log("page")),
    conda:
        "../../envs/closerlook.yaml"
    params:
        results=lambda wildcards, output: Path(output[0]).parent.parent,
    shell:
        python("page")
        + " --results {params.results} --out {params.results}/report 2> {log}"
