"""One way to read a conversation: what the user said last, the system prompt, how many turns.

A *message* is a role and a content; content is text, parts of which some are text, or nothing (a call of a
tool). Images, audio and results of tools count as no text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from strongroom.core.errors import RecordError

__all__ = ["MAX_MESSAGES", "Conversation", "Message", "Part", "conversation", "text_of"]

MAX_MESSAGES = 10_000
"""More messages in one record are refused."""

_TOOL_PARTS = frozenset({"tool_result", "function_call_output", "tool_call_response"})


class Part(msgspec.Struct, gc=False):
    """One part of a content: `text` only where it is text."""

    type: str | None = None
    text: str | None = None


class Message(msgspec.Struct, gc=False):
    """One message."""

    content: str | list[Part | str] | None = None
    role: str | None = "user"


Conversation = tuple[str, str, int]
"""The last user message, the system prompt, the number of user messages (at least 1)."""


def text_of(content: str | list[Part | str] | None) -> str:
    """The text of a content, parts joined by newlines."""
    if content is None:
        return ""
    if type(content) is str:
        return content
    texts = [part if isinstance(part, str) else part.text for part in content]
    return "\n".join([text for text in texts if text])


def conversation(messages: list[Message]) -> Conversation:
    """What an exchange keeps of its messages. Raises RecordError beyond MAX_MESSAGES.

    A user message that holds only results of tools belongs to the turn before it.
    """
    if len(messages) > MAX_MESSAGES:
        raise RecordError("too many messages", f"{len(messages)} messages, at most {MAX_MESSAGES} are read")
    last: Any = None
    system: list[str] | None = None
    turn = 0
    for message in messages:
        role = message.role
        if role == "user" or role is None:
            content = message.content
            if type(content) is list and _only_tools(content):
                continue
            turn += 1
            last = content
        elif role in {"system", "developer"}:
            if system is None:
                system = []
            system.append(text_of(message.content))
    text = last if type(last) is str else text_of(last)
    return text, "\n".join(filter(None, system)) if system else "", turn or 1


def _only_tools(content: list[Part | str]) -> bool:
    return bool(content) and all(isinstance(part, Part) and part.type in _TOOL_PARTS for part in content)
