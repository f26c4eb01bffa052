"""Numbers and arrays as JSON, exactly: all that passes between a judge and a hand-in.

An answer is read as plain data, whoever wrote it: nothing in it is executed or imported.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

KINDS = "biuf"


class UnreadableError(ValueError):
    """What was written is none of the data that `dumps` writes."""


def dumps(x: Any) -> bytes:
    """``x`` in one line: None, texts, numbers, arrays of them, and lists, tuples and dicts of these.

    Whatever NumPy takes for numbers is an array of them. Raises TypeError for anything else.

    >>> loads(dumps({"W": (np.float32([1, np.nan]), 0.1)}))
    {'W': (array([ 1., nan], dtype=float32), 0.1)}
    """
    return json.dumps(_written(x)).encode()


def loads(line: bytes) -> Any:
    """What `dumps` wrote; UnreadableError for anything else."""
    try:
        return _read(json.loads(line))
    except (KeyError, MemoryError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise UnreadableError("wrote what is no answer") from error


def _written(x: Any) -> Any:
    if x is None or type(x) in (bool, int, float, str):
        return x
    match x:
        case Mapping():
            return {"dict": [[_written(key), _written(part)] for key, part in x.items()]}
        case list():
            return [_written(part) for part in x]
        case tuple():
            return {"tuple": [_written(part) for part in x]}
    array = np.asarray(x)
    if array.dtype.kind == "O":  # Values by their data
        numbers = [float(getattr(element, "data", element)) for element in array.flat]
        array = np.array(numbers, dtype=float).reshape(array.shape)
    if array.dtype.kind not in KINDS:
        raise TypeError(f"expected numbers, got {type(x).__name__}")
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).reshape(array.shape)
    return {
        "type": array.dtype.str,
        "shape": array.shape,
        "bytes": base64.b64encode(array.tobytes()).decode(),
    }


def _read(x: Any) -> Any:
    match x:
        case list():
            return [_read(part) for part in x]
        case {"dict": pairs}:
            return {_read(key): _read(part) for key, part in pairs}
        case {"tuple": parts}:
            return tuple(_read(part) for part in parts)
        case dict():
            kind = np.dtype(str(x["type"]))
            if kind.kind not in KINDS:
                raise TypeError(f"expected numbers, got {kind}")
            return np.frombuffer(base64.b64decode(x["bytes"], validate=True), kind).reshape(x["shape"]).copy()
    return x
