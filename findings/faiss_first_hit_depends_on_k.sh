#!/usr/bin/env bash
# faiss: among equal rows the first hit of an inner product search is another one for each k
#
# One would expect: the best of k + 1 hits is the best of k. Of equal scores the lowest number comes first, or the order is
# not defined; a longer list then still begins with the same row, as it does with distances.
# What happens (1.15.1): IndexFlatIP keeps the first k of the equal rows and lists them backwards. With the same text at 7,
# 40, 123 and 300 the first hit is 7 for k = 1, 40 for k = 2, 123 for 3, 300 from 4 on. IVF, scalar quantisers and
# faiss.knn do the same. IndexFlatL2 has 7 first at each k, for unit vectors and the same scores. HNSW changes it for
# distances too.
# Why it matters: notes repeat ("no change"), and equal texts have bit-equal embeddings. "The nearest note" of two programs,
# one that asks for 1 and one that asks for 10, differ, and look like the rounding of a private run. Compare sets of
# scores, or break ties by the number oneself.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v faiss-cpu==1.15.1 numpy==2.4.6
python v <<'P'
import faiss, numpy as np
from verdict import end, same
print("faiss", faiss.__version__)
faiss.omp_set_num_threads(1)
rows = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32)
faiss.normalize_L2(rows)
rows[[40, 123, 300]] = rows[7]
query, some_k = rows[7:8], (1, 2, 3, 4, 10)
inner, distance = faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2
def first_hits(kind, metric):
    index = faiss.index_factory(16, kind, metric)
    index.train(rows)
    index.add(rows)
    return [int(index.search(query, k)[1][0, 0]) for k in some_k]
grows, stays = [7, 40, 123, 300, 300], [7] * 5
print("first hit for k =", *some_k)
for kind in ("Flat", "IVF1,Flat", "SQ8"):
    same(f"{kind}, inner product", first_hits(kind, inner), grows)
    same(f"{kind}, distance", first_hits(kind, distance), stays)
same("knn, inner product", [int(faiss.knn(query, rows, k, metric=inner)[1][0, 0]) for k in some_k], grows)
same("the four best of 10, inner product", sorted(faiss.knn(query, rows, 10, metric=inner)[1][0, :4].tolist()), [7, 40, 123, 300])
hits = first_hits("HNSW16", distance)
same("HNSW, distance: one row for all k", len(set(hits)) == 1, False)
end()
P
