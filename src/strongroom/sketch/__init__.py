"""Text in, sketch out: what is kept of a text once the text itself is dropped.

A sketch is still confidential: it can be compared with a guess at the text. Digests and shingles are keyed
per site, so that two sites' sketches cannot be joined; embeddings are not keyed. See docs/limitations.md.

>>> sketcher = Sketcher(key=bytes(32))
>>> sketches = sketcher.sketch(["What is the capital of France?", "What is the capital of Spain?"])
>>> sketches.embedding.shape, sketches.minhash.shape
((2, 256), (2, 8))
>>> float(similarity(sketches.embedding[0], sketches.embedding[1])) > 0.4
True
>>> resemblance(sketches.minhash[0], sketches.minhash[0])
1.0
"""

from ._indicators import FLAGS, indicators, names
from ._sketcher import BINS, NO_SHINGLE, SCALE, Sketcher, Sketches, resemblance, similarity
from ._words import DIMENSIONS, MAX_CHARS, SHINGLE

__all__ = [
    "BINS",
    "DIMENSIONS",
    "FLAGS",
    "MAX_CHARS",
    "NO_SHINGLE",
    "SCALE",
    "SHINGLE",
    "Sketcher",
    "Sketches",
    "indicators",
    "names",
    "resemblance",
    "similarity",
]
