"""A cheap guess at a text's language from its script and its small words. '' when unsure.

>>> language("Could you tell me what the capital of France is?"), language("你好，世界在哪里")
('en', 'zh')
"""

from __future__ import annotations

__all__ = ["language"]

_SMALL_WORDS = {
    "en": "the and of to in is you that it for on with this are be what how can my write a an do",
    "de": "der die das und ist nicht ein eine zu den mit ich sie auf für wie kann bitte von dem",
    "fr": "le la les des et est un une pour que dans vous je pas sur avec du en qui comment",
    "es": "el la los las y es un una por que para con como en mi del puede escribe se no",
    "pt": "o os as e é um uma para que com como em do da não por meu você uma se",
    "it": "il lo gli e è un una per che con come di del della mi non sono in scrivi",
    "nl": "de het een en is van dat niet ik je op voor met hoe kan te zijn er mijn",
}
_LANGUAGE_OF: dict[str, list[str]] = {}
for _name, _words in _SMALL_WORDS.items():
    for _word in set(_words.split()):
        _LANGUAGE_OF.setdefault(_word, []).append(_name)

# First code point of a block, the first after it, and the language that mostly uses it.
_SCRIPTS = (
    (0x0370, 0x0400, "el"),
    (0x0400, 0x0530, "ru"),
    (0x0590, 0x0600, "he"),
    (0x0600, 0x0700, "ar"),
    (0x0900, 0x0980, "hi"),
    (0x0E00, 0x0E80, "th"),
    (0x3040, 0x3100, "ja"),
    (0x4E00, 0xA000, "zh"),
    (0xAC00, 0xD7B0, "ko"),
)


def language(text: str) -> str:
    """ISO 639-1 code of the language that the first 240 characters seem to be in, or ''."""
    sample = text[:240]
    if not sample.isascii():
        found = _by_script(sample)
        if found:
            return found
    votes: dict[str, int] = {}
    for word in sample.lower().split():
        for name in _LANGUAGE_OF.get(word, ()):
            votes[name] = votes.get(name, 0) + 1
    if not votes:
        return ""
    best = max(votes, key=lambda name: votes[name])
    return best if votes[best] >= 2 or len(sample) < 40 else ""


def _by_script(sample: str) -> str:
    counts: dict[str, int] = {}
    for character in sample:
        point = ord(character)
        if point < 0x0370:
            continue
        for first, after, name in _SCRIPTS:
            if first <= point < after:
                counts[name] = counts.get(name, 0) + 1
                break
    if not counts:
        return ""
    if counts.get("ja", 0) >= 2:  # Japanese mixes kana with Chinese characters
        return "ja"
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] * 4 >= len(sample) else ""
