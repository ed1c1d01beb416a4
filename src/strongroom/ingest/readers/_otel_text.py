"""Where instrumentations of OpenTelemetry put a conversation, newest convention first."""

from __future__ import annotations

from typing import Any

from strongroom.core.errors import RecordError

from ._json import embedded
from ._messages import MAX_MESSAGES, Conversation, conversation
from ._otlp import attributes_of, field
from ._shapes import NOTHING, conversation_of, message_of

__all__ = ["conversation_of_span"]

_WHOLE = (
    "gen_ai.input.messages",
    "gen_ai.prompt",
    "gen_ai.content.prompt",
    "ai.prompt.messages",
    "ai.prompt",
    "llm.prompts",
    "traceloop.entity.input",
    "input.value",
)
"""Attributes that hold all messages, mostly as JSON in text."""
_NUMBERED = ("gen_ai.prompt.", "llm.input_messages.", "llm.prompts.")
"""Starts of attributes that hold one piece of one message: `….0.role`, `….0.content`."""
_SYSTEM = ("gen_ai.system_instructions", "gen_ai.system.instructions")
_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


def conversation_of_span(attributes: dict[str, Any], span: dict[str, Any]) -> Conversation:
    """The conversation of a span, from its attributes or its events; empty where content was not captured."""
    events = field(span, "events")
    said = NOTHING
    for source in (attributes, *_attributes_of_details(events)):
        said = _numbered(source)
        for key in _WHOLE:
            if said == NOTHING and source.get(key):
                said = conversation_of(source[key])
        if said != NOTHING:
            break
    if said == NOTHING:
        said = _from_message_events(events)
    text, system, turn = said
    for key in _SYSTEM:
        if not system and attributes.get(key):
            system = conversation_of(attributes[key])[0]
    return text, system, turn


def _numbered(attributes: dict[str, Any]) -> Conversation:
    messages: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        for start in _NUMBERED:
            if key.startswith(start):
                number, _, rest = key[len(start) :].partition(".")
                if number.isascii() and number.isdigit() and len(number) < 8:
                    _add_piece(messages.setdefault(int(number), {}), rest.removeprefix("message."), value)
                break
    if len(messages) > MAX_MESSAGES:
        raise RecordError("too many messages", f"{len(messages)} messages, at most {MAX_MESSAGES} are read")
    return conversation([message_of(messages[number]) for number in sorted(messages)]) if messages else NOTHING


def _add_piece(message: dict[str, Any], piece: str, value: Any) -> None:
    """`role`, `content`, or OpenInference's `contents.0.message_content.text`."""
    if piece == "role":
        message["role"] = value
    elif piece == "content":
        parts = embedded(value)
        is_parts = isinstance(parts, list) and any(isinstance(part, dict) and "type" in part for part in parts)
        message["content"] = parts if is_parts else value
    elif piece.startswith("contents.") and piece.endswith(".text") and isinstance(value, str):
        message.setdefault("content", [])
        if isinstance(message["content"], list):
            message["content"].append(value)


def _attributes_of_details(events: Any) -> list[dict[str, Any]]:
    """Attributes of events that hold the whole conversation (`gen_ai.content.prompt` and its successor)."""
    return [
        attributes_of(event.get("attributes"))
        for event in (events if isinstance(events, list) else [])
        if isinstance(event, dict) and _role_of(event) is None
    ]


def _from_message_events(events: Any) -> Conversation:
    """One event for each message, its content in `content` or, as JSON, in `gen_ai.event.content`."""
    messages = []
    for event in events if isinstance(events, list) else []:
        role = _role_of(event) if isinstance(event, dict) else None
        if role is None:
            continue
        attributes = attributes_of(event.get("attributes"))
        content = attributes.get("content")
        if content is None:
            content = embedded(attributes.get("gen_ai.event.content"))
            if isinstance(content, dict):
                content = content.get("content")
        messages.append(message_of({"role": role, "content": content}))
    return conversation(messages) if messages else NOTHING


def _role_of(event: dict[str, Any]) -> str | None:
    name = event.get("name")
    return _EVENT_ROLES.get(name) if isinstance(name, str) else None
