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
# A mark names the role of what follows it; unknown marks (bot, assistant, ends) start nobody's text.
_MARKS = re.compile(
    r"<\|start_header_id\|>\s*(\w+)\s*<\|end_header_id\|>"  # Llama 3
    r"|<\|im_start\|>\s*(\w+)"  # ChatML
    r"|<\|(user|system|assistant)\|>"  # Phi, Zephyr
    r"|<start_of_turn>\s*(\w+)"  # Gemma
    r"|(\[/?INST\]|<</?SYS>>)"  # Llama 2, Mistral
    r"|(?:\A|\n)\s*(Human|User|Assistant|Bot):",  # Claude 2, Titan
)
_ENDS = re.compile(r"<\|(?:eot_id|im_end|end|begin_of_text|endoftext)\|>|<end_of_turn>|</?s>")


def from_template(prompt: str) -> Conversation:
    """The conversation that a marked prompt holds; a prompt without marks of a user is one user message."""
    marks = list(_MARKS.finditer(prompt))
    messages = []
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        text = prompt[mark.end() : following.start() if following else len(prompt)]
        name = next(filter(None, mark.groups())).lower()
        if name == "<</sys>>":
            name = "[inst]"
        text = _ENDS.sub("", text).strip()
        if name in _ROLES and text:
            messages.append(Message(content=text, role=_ROLES[name]))
    if not any(message.role == "user" for message in messages):
        return prompt, "", 1
    return conversation(messages)
