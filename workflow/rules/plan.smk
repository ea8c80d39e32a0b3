import time

from closerlook.plan.text import write_plan


localrules:
    plan,


rule plan:
    """What each cell will take, as `closerlook plan` says it. No part of `all`, and made anew whenever it is asked for."""
    output:
        json=f"results/{PRESET}/plan.json",
        text=f"results/{PRESET}/plan.txt",
    log:
        f"results/{PRESET}/logs/plan.log",
    params:
        # It depends on what every cell has come to, which is no input: Snakemake would make the cells first.
        asked=lambda wildcards: time.time_ns(),
    run:
        write_plan(CONFIG, SITE, *map(Path, output))
