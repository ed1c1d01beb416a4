"""Prompts that are one text with marks between the turns, as models without a messages API take them.

>>> from_template("\\n\\nHuman: Hello\\n\\nAssistant: Hi\\n\\nHuman: Why?\\n\\nAssistant:")
('Why?', '', 2)
>>> from_template("<s>[INST] <<SYS>>Be brief.<</SYS>> Why? [/INST]")
('Why?', 'Be brief.', 1)
"""

from __future__ import annotations

import re

from ._messages import Conversation, Message, conversation

__all__ = ["from_template"]

_ROLES = {
    "human": "user",
    "user": "user",
    "system": "system",
    "[inst]": "user",
    "<<sys>>": "system",
}
# Every repetition is bounded: with `\n\s*` a prompt of line ends alone would take time by the square of its length.
# A mark names the role of what follows it; unknown marks (bot, assistant, ends) start nobody's text.
_MARKS = re.compile(
    r"<\|start_header_id\|>\s{0,8}(\w{1,16})\s{0,8}<\|end_header_id\|>"  # Llama 3
    r"|<\|im_start\|>\s{0,8}(\w{1,16})"  # ChatML
    r"|<\|(user|system|assistant)\|>"  # Phi, Zephyr
    r"|<start_of_turn>\s{0,8}(\w{1,16})"  # Gemma
    r"|(\[/?INST\]|<</?SYS>>)"  # Llama 2, Mistral
    r"|(?:\A\s{0,8}|\n[ \t]{0,8})(Human|User|Assistant|Bot):",  # Claude 2, Titan
)
_ENDS = re.compile(r"<\|(?:eot_id|im_end|end|begin_of_text|endoftext)\|>|<end_of_turn>|</?s>")


def from_template(prompt: str) -> Conversation:
    """The conversation that a marked prompt holds; a prompt without marks of a user is one user message."""
    marks = list(_MARKS.finditer(prompt))
    messages = []
    ends = [mark.start() for mark in marks[1:]] + [len(prompt)]
    for mark, end in zip(marks, ends, strict=False):
        text = prompt[mark.end() : end]
        name = next(filter(None, mark.groups())).lower()
        if name == "<</sys>>":
            name = "[inst]"
        text = _ENDS.sub("", text).strip()
        if name in _ROLES and text:
            messages.append(Message(content=text, role=_ROLES[name]))
    if not any(message.role == "user" for message in messages):
        return prompt, "", 1
    return conversation(messages)
