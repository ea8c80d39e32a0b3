"""Whether the hub has a repository, and what to do if it has not."""

import os

from closerlook.doctor.checks import Failed

TIMEOUT = 10.0
"""Seconds for the hub to answer."""


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE says that the hub is not asked."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def ask_hub(repository: str, revision: str, file: str, kind: str = "model") -> str:
    """Ask the hub for a file that a repository must have, and return what was found. Raises Failed. kind: model or dataset."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    name = f"{repository} at {revision}"
    page = f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{repository}"
    try:
        get_hf_file_metadata(hf_hub_url(repository, file, revision=revision, repo_type=kind), timeout=TIMEOUT)
    except GatedRepoError:
        problem = f"{name} is gated: accept its license at {page} and set HF_TOKEN"
    except RevisionNotFoundError:
        problem = f"{name}: there is no such revision; see {page}/commits"
    except RepositoryNotFoundError:
        problem = f"{name}: not on the hub, or private (then set HF_TOKEN); looked at {page}"
    except HfHubHTTPError as error:
        problem = f"{name}: the hub refused ({error}); expected an answer from {page}"
    except Exception as error:  # the HTTP library's own errors, whichever it is
        problem = f"{name}: the hub cannot be reached ({type(error).__name__}); expected a network that reaches {page}"
    else:
        return f"{name} is on the hub"
    raise Failed(problem)
