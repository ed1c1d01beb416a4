"""A `File` in memory that remembers what was read of it, safetensors files made byte by byte, and what safetensors makes of them."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import safetensors

from strongroom.core.errors import InputError


class MemoryFile:
    """`reads` has the offset and the length of every call."""

    def __init__(self, content: bytes, name: str = "model.safetensors") -> None:
        self.name, self.content = name, content
        self.reads: list[tuple[int, int]] = []
        self.closed = 0

    @property
    def length(self) -> int:
        return len(self.content)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        assert not self.closed, "read after close"
        assert buffer.c_contiguous
        assert not buffer.readonly
        assert buffer.ndim == 1
        assert buffer.format == "B"
        if offset < 0 or offset + len(buffer) > len(self.content):
            raise InputError("past the end", where=self.name)
        self.reads.append((offset, len(buffer)))
        buffer[:] = memoryview(self.content)[offset : offset + len(buffer)]

    def close(self) -> None:
        self.closed += 1


def with_header(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def safetensors_file(tensors: Mapping[str, tuple[str, Sequence[int], bytes]], metadata: Any = None) -> bytes:
    """Name to dtype, shape and bytes, one behind the other, not aligned."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, (dtype, shape, content) in tensors.items():
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": offsets}
        data += content
    return with_header(json.dumps(header).encode(), data)


def theirs(content: bytes, use: Callable[[Any], Any], framework: str = "np") -> Any:
    """What `use` makes of the file in safetensors; None where it raises."""
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(content)
        file.flush()
        try:
            with safetensors.safe_open(file.name, framework) as opened:
                return use(opened)
        except BaseException as error:  # what its Rust panics with is no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return None
