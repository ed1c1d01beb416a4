"""Lists of assets in a file: CSV with a header, a JSON array, or JSON Lines.

All or nothing: every row that cannot be used is named, and then none is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import msgspec

from strongroom.core.assets import Asset, check_asset, parse_size
from strongroom.core.errors import InputError, RefusedError, UsageError
from strongroom.core.places import patterns

__all__ = ["MAX_FILE_BYTES", "MAX_ROWS", "read_assets", "unusable"]

MAX_FILE_BYTES = 16 << 20
MAX_ROWS = 10_000
_MOST_TOLD = 50
_COLUMNS = tuple(name for name in Asset.__struct_fields__ if name != "version")


def read_assets(data: bytes, where: str) -> dict[str, Asset]:
    """Assets by the line or element that each stands at. Raises InputError, which names every bad row."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"the file is no UTF-8 at byte {error.start:,}", where=where, next="save it as UTF-8"
        ) from None
    found: dict[str, Asset] = {}
    problems: dict[str, str] = {}
    names: dict[str, str] = {}
    places: dict[str, str] = {}
    for row, fields in _rows(text, where):
        if len(found) + len(problems) >= MAX_ROWS:
            raise InputError(
                f"the file has more than {MAX_ROWS:,} rows", where=where, next="split it, or name prefixes"
            )
        try:
            asset = check_asset(_asset(fields))
        except (UsageError, RefusedError) as error:
            problems[row] = f"{error.message}; {error.next}" if error.next else error.message
            continue
        twice = names.setdefault(asset.name, row)
        if twice != row:
            problems[row] = f"'{asset.name}' stands in {twice} already"
        for place in asset.places:
            if (first := places.setdefault(patterns(place)[0], row)) != row:
                problems[row] = f"'{place[:120]}' stands in {first} already"
        found[row] = asset
    if problems:
        raise unusable(problems, where)
    if not found:
        raise InputError("the file names no asset", where=where, next="see docs/assets.md")
    return found


def unusable(problems: dict[str, str], where: str) -> InputError:
    """An error that names rows and what is wrong with each."""
    told = [f"{row}: {problem}" for row, problem in list(problems.items())[:_MOST_TOLD]]
    if len(problems) > len(told):
        told.append(f"and {len(problems) - len(told):,} more")
    count = "1 row cannot" if len(problems) == 1 else f"{len(problems):,} rows cannot"
    return InputError(f"{count} be used. " + ". ".join(told), where=where, next="correct them; nothing was imported")


def _rows(text: str, where: str) -> Iterator[tuple[str, Any]]:
    """Each row with its place in the file: fields by name, or the error that it is instead."""
    first = text.lstrip()[:1]
    if first == "[":
        try:
            elements = msgspec.json.decode(text, type=list[msgspec.Raw])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InputError(f"the file is no JSON array: {error}", where=where, next="see docs/assets.md") from None
        for number, element in enumerate(elements, 1):
            yield f"element {number}", _decoded(bytes(element))
    elif first == "{":
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield f"line {number}", _decoded(line.encode())
    else:
        yield from _csv_rows(text, where)


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        return UsageError(f"no JSON: {error}")


def _csv_rows(text: str, where: str) -> Iterator[tuple[str, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    begins = 1
    try:
        for cells in reader:
            row, begins = f"line {begins}", reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(cells, where)
            elif len(cells) != len(header):
                yield row, UsageError(f"{len(cells)} cells under {len(header)} columns")
            else:
                yield row, _named(dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise InputError(f"the file is no CSV: {error}", where=f"{where}:{begins}", next="see docs/assets.md") from None


def _header(cells: list[str], where: str) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    unknown = [name for name in header if name not in _COLUMNS]
    if unknown or len(set(header)) != len(header) or not {"name", "places"} <= set(header):
        raise InputError(
            f"the header is not of columns that are known: {', '.join(unknown or header)[:200]}",
            where=f"{where}:1",
            next=f"name and places must stand there; {', '.join(_COLUMNS)} may",
        )
    return header


def _named(cells: dict[str, str]) -> dict[str, Any]:
    """A row's cells as fields; an empty cell is not there. Places are separated by `;`."""
    fields: dict[str, Any] = {name: cell.strip() for name, cell in cells.items() if cell.strip()}
    if "places" in fields:
        fields["places"] = [place.strip() for place in fields["places"].split(";") if place.strip()]
    return fields


def _asset(fields: Any) -> Asset:
    """Raises UsageError."""
    if isinstance(fields, UsageError):
        raise fields
    try:
        if isinstance(fields, dict) and isinstance(fields.get("size"), str):
            fields["size"] = parse_size(fields["size"])
        return msgspec.convert(fields, Asset)
    except msgspec.MsgspecError as error:
        raise UsageError(str(error)[:300]) from None
