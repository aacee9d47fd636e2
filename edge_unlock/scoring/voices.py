"""How many voices spoke a handful of utterances, and which of them are whose."""

import numpy as np

from edge_unlock.encoder.features import Float32


def group(margins: Float32, together: int = 0) -> list[list[int]]:
    """The numbers of the utterances of each voice, the largest group first.

    ``margins`` (n, n): how far the score of each with each lies above what one voice takes. The
    two groups with the highest mean margin are joined, as long as that is not below 0:
    agglomerative clustering with average linkage, as speaker diarization has it (Garcia-Romero et
    al., "Speaker diarization using deep neural network embeddings", 2017). No utterance comes
    first, so that the order in which they were spoken decides nothing. The first ``together`` are
    known to be one voice; their group comes first. A NaN joins nothing.
    """
    margins = np.nan_to_num(margins, nan=-np.inf)
    groups = [list(range(together))] if together else []
    groups += [[number] for number in range(together, len(margins))]
    while len(groups) > 1:
        mean, one, other = max(
            (float(margins[np.ix_(groups[i], groups[j])].mean()), i, j)
            for i in range(len(groups))
            for j in range(i + 1, len(groups))
        )
        if mean < 0:
            break
        groups[one] += groups.pop(other)
    return sorted(groups, key=lambda members: (not (together and 0 in members), -len(members)))
