"""The ranks of a job, as torch wants to be told of them."""

import os


def join_srun() -> None:
    """Set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT from what srun says, where srun started several tasks.

    Under torchrun they are set already; one process alone needs none.
    """
    if "RANK" in os.environ or int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) == 1:
        return
    from submitit.helpers import TorchDistributedEnvironment

    os.environ["SUBMITIT_EXECUTOR"] = "slurm"  # or submitit takes this for a job that it did not submit, and refuses
    # Slurm has told each task which GPUs are its own; submitit's own choice would overwrite that.
    TorchDistributedEnvironment().export(set_cuda_visible_devices=False)
