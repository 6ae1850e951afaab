"""How far two indexes of the same documents are apart, of `influence index --dtype fp32` and `bf16`, say.

    python compare_indexes.py INDEX OTHER

INDEX and OTHER are directories with one shard each. Prints, over the documents, least, mean and most of:
  * bits: the share of a document's bits that differ
  * cosine: of its whitened gradients, by the bits: cos(pi share), as for random signs of Gaussian projections
  * norm: the other's norm over the first one's
Never needed to build, test or run Whence. Needs numpy.
"""
import json
import pathlib
import sys

import numpy as np

MAGIC = b"WHENCEI3"


def shard(directory):
    path = pathlib.Path(directory) / "shard-1-of-1.index"
    content = path.read_bytes()
    if content[:8] != MAGIC:
        raise SystemExit(f"{path} is no shard of the format {MAGIC.decode()}")
    start = 16 + int.from_bytes(content[8:16], "little")
    header = json.loads(content[16:start])
    n, row = header["documents"], header["buckets"] // 8
    signs = np.frombuffer(content, np.uint8, n * row, start).reshape(n, row)
    norms = np.frombuffer(content, "<f4", 2 * n, start + n * row).reshape(n, 2)[:, 1]
    return header, np.unpackbits(signs, axis=1), norms


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    (first, bits, norms), (second, others, other_norms) = map(shard, sys.argv[1:])
    for name in ("model", "factors", "corpus", "measure", "lambda0", "buckets", "sketchSeed"):
        if first[name] != second[name]:
            raise SystemExit(f"the indexes differ in {name}: {first[name]} and {second[name]}")
    share = (bits != others).mean(axis=1)
    for name, values in (("bits", share), ("cosine", np.cos(np.pi * share)), ("norm", other_norms / norms)):
        print(f"{name}: {values.min():.4f} {values.mean():.4f} {values.max():.4f}")


if __name__ == "__main__":
    main()
