"""The many shapes in which requests hold their conversation, brought to the one of `_messages`.

Known are the request bodies of OpenAI (chat, completions, responses, embeddings), Anthropic, Bedrock
Converse, Cohere, Titan, Gemini, and the messages of OpenTelemetry and LangChain. Clients write these bodies,
and gateways log the wrong ones too: an unknown shape is no text, never an error.
"""

from __future__ import annotations

from typing import Any

from ._json import MAX_EMBEDDED, embedded
from ._messages import Conversation, Message, Part, conversation, text_of

__all__ = ["NOTHING", "conversation_of", "message_of"]

NOTHING: Conversation = ("", "", 1)
"""What is said of an exchange whose texts are not in the log."""

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "chatbot": "assistant", "bot": "assistant"}
_MESSAGES = ("messages", "contents", "input_messages", "chat_messages")
_SYSTEMS = ("system", "systemInstruction", "system_instruction", "instructions", "preamble")
_TEXTS = ("prompt", "inputText", "input", "texts", "text", "query", "message")


def conversation_of(value: Any) -> Conversation:
    """Any of the known shapes, also as JSON in a string; a string of another kind is a user message."""
    found = embedded(value)
    if isinstance(found, dict):
        said = _from_body(found)
    elif isinstance(found, list):
        said = _from_list(found)
    else:
        return (found, "", 1) if isinstance(found, str) else NOTHING
    if said == NOTHING and isinstance(value, str) and found and not _is_conversation(found):
        return value, "", 1  # the user's own text, which happens to be JSON
    return said


def _is_conversation(found: Any) -> bool:
    if isinstance(found, dict):
        return "role" in found or any(key in found for key in _MESSAGES)
    return isinstance(found, list) and any(isinstance(each, dict) and "role" in each for each in found)


def message_of(value: dict[str, Any]) -> Message:
    """One message, whatever it calls its role and its content."""
    inner = value.get("kwargs") or value.get("data")  # LangChain serialises a message with one of these around it
    content_of = inner if isinstance(inner, dict) and "content" in inner else value
    role = value.get("role") or _inner_role(value)
    role = role.lower() if isinstance(role, str) else "user"
    if value.get("type") == "function_call_output":
        role = "tool"
    for key in ("content", "parts", "message", "text"):
        if content_of.get(key) is not None:
            return Message(content=_content(content_of[key]), role=_ROLES.get(role, role))
    return Message(content=None, role=_ROLES.get(role, role))


def _inner_role(value: dict[str, Any]) -> str | None:
    """The role that LangChain writes as `type` (human, ai) or as a class name at the end of `id`."""
    names = value.get("id")
    if isinstance(names, list) and names and isinstance(names[-1], str):
        return names[-1].removesuffix("Chunk").removesuffix("Message")
    kind = value.get("type")
    return kind if isinstance(kind, str) and kind not in {"constructor", "message"} else None


def _from_body(body: dict[str, Any], depth: int = MAX_EMBEDDED) -> Conversation:
    system = ""
    for key in _SYSTEMS:
        if body.get(key):
            system = text_of(_content(body[key]))
            break
    for key in _MESSAGES:
        said = embedded(body.get(key))
        if isinstance(said, list) and said:
            text, inner, turn = _from_list(said)
            return text, "\n".join(filter(None, (system, inner))), turn
    if "role" in body and ("content" in body or "parts" in body):
        return conversation([message_of(body)])
    history = body.get("chat_history")
    turn = 1 + (conversation(_messages(history))[2] if isinstance(history, list) and history else 0)
    for key in _TEXTS:
        said = body.get(key)
        if isinstance(said, str) and said:
            return said, system, turn
        if isinstance(said, (list, dict)) and said and depth:
            text, inner, turn = _from_list(said) if isinstance(said, list) else _from_body(said, depth - 1)
            return text, "\n".join(filter(None, (system, inner))), turn
    texts = [said for said in body.values() if isinstance(said, str) and said]
    return ("", system, 1) if system else ("\n".join(texts), "", 1)


def _from_list(values: list[Any]) -> Conversation:
    while len(values) == 1 and isinstance(values[0], list) and not _is_pair(values[0]):  # a batch of one
        values = values[0]
    if values and all(isinstance(value, str) for value in values):
        return "\n".join(filter(None, values)), "", 1
    messages = _messages(values)
    if any(isinstance(value, dict) and ("role" in value or "id" in value) for value in values):
        return conversation(messages)
    content = _content(values)  # parts without a message around them
    if any(message.role in {"user", "system", "developer"} for message in messages):
        return conversation(messages)
    return text_of(content), "", 1


def _messages(values: list[Any]) -> list[Message]:
    found = []
    for value in values:
        if isinstance(value, dict):
            found.append(message_of(value))
        elif _is_pair(value):
            found.append(message_of({"role": value[0], "content": value[1]}))
    return found


def _is_pair(value: Any) -> bool:
    """LangChain's short form of a message: `["human", "Hello"]`."""
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)):
        return False
    return value[0].lower() in {"human", "user", "ai", "assistant", "system"}


def _content(value: Any) -> str | list[Part | str] | None:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        if isinstance(value.get("parts"), list):
            return _content(value["parts"])
        value = [value]
    if not isinstance(value, list):
        return None
    return [part if isinstance(part, str) else _part(part) for part in value if isinstance(part, (str, dict))]


def _part(part: dict[str, Any]) -> Part:
    kind = part.get("type")
    if "toolResult" in part or "functionResponse" in part or "function_response" in part:
        return Part(type="tool_result")
    if not isinstance(kind, str):
        kind = None
    text = part.get("text")
    if text is None and kind in {None, "text", "input_text"}:
        text = part.get("content")
    guarded = part.get("guardContent")
    if isinstance(guarded, dict):
        text = guarded.get("text")
    if isinstance(text, dict):
        text = text.get("text") or text.get("value")
    return Part(type=kind, text=text if isinstance(text, str) else None)
