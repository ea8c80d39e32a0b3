"""Every ranker's score of every instance for each marked span, of which a trace keeps the first candidates alone.

The sum of the scores of some instances is what a ranker predicts of a model that is tuned on these (linear datamodeling score).
"""

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from closerlook.core.schemas import INSTANCE_SCORES
from closerlook.trace.indexed_dataset import IndexedDataset
from closerlook.trace.marked import MarkedResponses
from closerlook.trace.rankers import FUSION


def score_instances(marked: MarkedResponses, dataset: IndexedDataset) -> pa.Table:
    """INSTANCE_SCORES: a row per span, in the order of the spans; a ranker that cannot score a span has null.

    Raises CloserlookError if the attribution names instances that the dataset lacks.
    """
    size, row_of = len(dataset.index.ids), marked.attributed_rows(dataset)
    cosines = None
    if dataset.embeddings is not None:
        cosines = dataset.embeddings.encode(marked.pairs) @ dataset.embeddings.vectors[:size].T
    rows = []
    for span, phrase, query in zip(tqdm(marked.located, unit="span"), marked.phrases, marked.queries, strict=True):
        scores = {name: np.zeros(size, np.float32) for name in ("lexical", "bm25")}
        scores["lexical"][dataset.index.words.documents(phrase)] = 1
        (found,), (values,) = dataset.index.bm25([query], size)
        scores["bm25"][found] = values
        if cosines is not None:
            scores["semantic"] = cosines[span.response]
        if influences := marked.attribution.get(marked.key(span)):
            scores["gradient"] = np.zeros(size, np.float32)  # an instance without a trained token has no influence
            scores["gradient"][[row_of[identity] for identity in influences]] = list(influences.values())
        scores["fused"] = fuse_scores(list(scores.values()))
        rows.append(dict(zip(("id", "start", "end"), marked.key(span), strict=True)) | scores)
    return pa.Table.from_pylist(rows, schema=INSTANCE_SCORES)


def fuse_scores(rankers: list[np.ndarray]) -> np.ndarray:
    """The sum of 1 / (60 + rank) over rankers, as `rankers.fuse` ranks candidates: [instances] float32.

    rankers: scores of all instances, [instances] each. Instances with the same score share the mean of their ranks, and one whose
    score is not above 0 is not ranked.
    """
    from scipy.stats import rankdata  # slow to import, and the program's --help does not need it

    reciprocal = (np.where(scores > 0, 1 / (FUSION + rankdata(-scores)), 0.0) for scores in rankers)
    return np.sum(list(reciprocal), axis=0).astype(np.float32)
