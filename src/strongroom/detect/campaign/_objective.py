"""What a campaign seems to be after: the nearest of a few descriptions to what it asks. A hint, not a finding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from strongroom.sketch import FLAGS, SCALE, Sketcher

from ._features import Features

__all__ = ["objective"]

MOST_TEXTS = 50_000
"""Texts whose mean is taken."""

_DESCRIPTIONS = {
    "code": "Write a Python function, program or SQL query. Fix this code. Implement an algorithm in C++.",
    "role play": "Imagine you are a character in a story. Act as a detective, pirate or teacher and stay in role.",
    "tool use": "Use a tool or API: weather, search, calculator, wikipedia, calendar. Choose the function to call.",
    "mathematics": "Solve the equation. Prove the theorem. Calculate the probability, integral or area.",
    "writing": "Write an essay, a poem, an email, a blog post or a short story about a topic.",
    "translation": "Translate the following sentence from English into French, German or Spanish.",
    "knowledge": "Explain what something is. Who was, when did, what causes. Facts of history, science, geography.",
    "classification": "Classify the sentiment or category of the following text. Extract entities. Summarize it.",
}
_BY_FLAG = {
    "reasoning_elicitation": "reasoning",
    "synthetic_data": "training data",
    "rubric_grading": "grading",
    "logprob_probing": "token probabilities",
}


def objective(members: npt.NDArray[np.intp], features: Features) -> str:
    """One of a few words; an indicator that a fifth of the exchanges raise comes before likeness."""
    exchanges = max(int(features.exchanges[members].sum()), 1)
    shares = features.flags[members].sum(axis=0) / exchanges
    for number, name in enumerate(FLAGS):
        if name in _BY_FLAG and shares[number] > 0.2:
            return _BY_FLAG[name]
    # Embeddings are not keyed, so any sketcher's descriptions can be compared with any site's texts.
    described = Sketcher(bytes(32)).sketch(list(_DESCRIPTIONS.values())).embedding / SCALE
    vectors, owner = features.sample.embedding, features.sample.subject
    rows = np.flatnonzero(np.isin(owner, members))[:MOST_TEXTS]
    everyone = vectors[:: max(len(vectors) // MOST_TEXTS, 1)].mean(axis=0, dtype=np.float64)
    theirs = vectors[rows].mean(axis=0, dtype=np.float64) if len(rows) else everyone
    return list(_DESCRIPTIONS)[int(np.argmax((described - described.mean(axis=0)) @ (theirs - everyone)))]
