"""The environment variables that tell torch the rank of a process."""

import os


def join_srun() -> None:
    """Set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT from Slurm's variables if srun started several tasks.

    torchrun sets them itself; a single process needs none.
    """
    if "RANK" in os.environ or int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) == 1:
        return
    from submitit.helpers import TorchDistributedEnvironment

    os.environ["SUBMITIT_EXECUTOR"] = "slurm"  # otherwise submitit refuses a job that it did not submit
    # Slurm has already set each task's GPUs; submitit would overwrite them.
    TorchDistributedEnvironment().export(set_cuda_visible_devices=False)
