# How jobs are launched: their programs, their resources, and who watches over them. Nothing here decides a result, so all of it is
# handed over in ways that Snakemake takes for derived (resources, and params that ask for `resources`): a change trains nothing again.
import signal

from closerlook.config import site as sites
from closerlook.config.problems import refuse
from closerlook.config.settings import EngineSettings
from closerlook.cluster.driver import start_driving
from closerlook.plan.resources import LOCAL_NAMES, NAMES, ResourcePlanner, problems

# Slurm's notice before a time limit reaches all processes of a job step. It is meant for the training, which handles it, and would
# end the Snakemake that runs the job there.
signal.signal(signal.SIGUSR2, signal.SIG_IGN)

SITE_FILE = Path("config/site.yaml")
SITE = None
if SITE_FILE.is_file():
    try:
        SITE = sites.read(SITE_FILE)
        refuse(problems(CONFIG, SITE, CONFIGFILES[-1]))
    except CloserlookError as error:
        raise WorkflowError(str(error)) from None
    if SITE.modules:
        shell.prefix(f"module load {shlex.join(SITE.modules)}; ")

RESOURCES = ResourcePlanner(CONFIG, SITE)


def asks(of):
    """The resources of a job, one callable per name, as Snakemake wants them."""
    return {
        name: lambda wildcards, attempt, name=name: of(wildcards, attempt).get(name)
        for name in (NAMES if SITE else LOCAL_NAMES)
    }


def training(wildcards, attempt):
    return RESOURCES.train(cell_of(wildcards), attempt)


def generation(wildcards, attempt):
    return RESOURCES.evaluate(
        cell_of(wildcards), wildcards.evalset, "generate", attempt
    )


def measuring_shift(wildcards, attempt):
    return RESOURCES.evaluate(cell_of(wildcards), wildcards.evalset, "shift", attempt)


def on_cpu(hours, gigabytes):
    return lambda wildcards, attempt: RESOURCES.cpu(hours, gigabytes)


def launch_of(wildcards):
    return CATALOG.models[wildcards.model].launch_of(
        CONFIG.train_settings(cell_of(wildcards)).kind
    )


def python_for(ranks, threads):
    """What starts a program: Python, or one Python per rank."""
    if ranks == 1:
        return "python"
    if not workflow.local_exec or workflow.remote_exec:
        return f"srun --kill-on-bad-exit=1 --cpus-per-task={threads} python"
    return f"torchrun --standalone --nproc-per-node={ranks}"


def train_program(wildcards, resources):
    return python_for(launch_of(wildcards).ranks, threads_of(wildcards))


def evaluation_program(wildcards, resources):
    model = CATALOG.models[wildcards.model]
    return python_for(model.generate.ranks, model.threads)


def spread(wildcards, resources):
    """The GPUs that one rank's model lies on, where they are several."""
    gpus = CATALOG.models[wildcards.model].generate.gpus
    return f"--gpus {gpus}" if gpus > 1 else ""


def halved(number, resources):
    """A batch of so many, half of it for each time that the job ran out of memory: the same result in more parts."""
    return max(1, number >> resources.halvings)


def engine_flags(wildcards, resources):
    """Speed and memory of a training."""
    launch = launch_of(wildcards)
    engine = EngineSettings.model_validate(
        launch.model_dump(include=set(EngineSettings.model_fields))
    )
    smaller = {"micro_batch": halved(engine.micro_batch, resources)}
    flags = as_flags(engine.model_copy(update=smaller))
    if SITE and SITE.scratch:
        flags += f" --scratch {shlex.quote(SITE.scratch)}"
    return flags


def batch_size(wildcards, resources):
    return halved(CATALOG.models[wildcards.model].generate.batch_size, resources)


def supervised(stage, identity):
    """The beginning of a job's command: a program that keeps account of what becomes of the rest (closerlook.cluster.supervise).

    `stage` may name wildcards in braces.
    """

    def words(wildcards, input, output, resources):
        folder = Path(output[-1]).parent
        # `exec` leaves no shell between Slurm's signals and the program.
        return (
            f"exec python workflow/scripts/supervise.py --stage {stage.format(wildcards=wildcards)} --folder {folder} --outputs {output}"
            f" --inputs {input} --identity {shlex.quote(identity(wildcards))} --tries {resources.tries}"
            f" --notice {SITE.notice_seconds if SITE else 0}"
        )

    return words


def drive():
    """Before the first job is submitted to Slurm: take over from a driver that was killed, or give way to one that lives."""
    if not SITE:
        raise WorkflowError(
            f"{SITE_FILE}: not found, and Slurm's partitions and GPUs are described there; "
            "copy config/site.example.yaml to it, put your own numbers in, and check it with `closerlook doctor`"
        )
    results = Path("results") / PRESET
    jobs = [
        (results / one.folder, one.name)
        for cell in CONFIG.cells
        for one in stages(CONFIG, cell)
    ]
    try:
        for line in start_driving(results, workflow.scheduler._executor.run_uuid, jobs):
            print(line)
    except CloserlookError as error:
        raise WorkflowError(str(error)) from None
