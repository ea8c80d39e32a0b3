# What a run will take, before it starts.
import time

from closerlook.plan.text import write_plan


localrules:
    plan,


rule plan:
    """What each cell will take, as `closerlook plan` says it. No part of `all`, and made anew whenever it is asked for."""
    output:
        json=at(layout.PLAN),
        text=at(layout.PLAN_TEXT),
    log:
        at(layout.log("plan")),
    params:
        # It depends on the state of every cell, which is no input: Snakemake would make the cells first.
        asked=lambda wildcards: time.time_ns(),
    run:
        write_plan(CONFIG, SITE, *map(Path, output))
