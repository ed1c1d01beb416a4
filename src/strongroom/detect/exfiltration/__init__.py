"""Finds reading of an asset that is none of its readers' habit: the whole at once or by and by, copies, keys.

`find_exfiltration` gives signals; docs/exfiltration.md says what is judged, by which constants and what is not seen.
"""

from ._find import Result, find_exfiltration

__all__ = ["Result", "find_exfiltration"]
