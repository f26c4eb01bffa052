"""Listings as plain data, and back: what a pickled program is made of.

Rows go by their names, and a checksum tells data that was damaged.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from autograd_mini.arguments import decoded, encoded
from autograd_mini.instructions import Instructions, Listing
from autograd_mini.trees import leaves

FORMAT = "autograd_mini program 2"
UNSUMMED = "autograd_mini program 1"  # is read too, without the checksum that it has not


def state_of(listing: Listing, exact: bool) -> dict[str, Any]:
    """The listing, and whether it is to run instruction by instruction, as plain data."""
    state: dict[str, Any] = {
        "format": FORMAT,
        "name": listing.name,
        "arguments": {name: encoded(tree) for name, tree in listing.arguments.items()},
        "results": encoded(listing.results),
        "code": listing.code.state(),
        "labels": dict(listing.labels),
        "reverse": listing.reverse,
    }
    if exact:
        state["exact"] = True
    return {**state, "checksum": _checksum(state)}


def listing_of(state: Any) -> tuple[Listing, bool]:
    """What `state_of` was given; ValueError for damaged or foreign data and rows not known here.

    Data of a format without a checksum is read, and checked for its structure only.
    """
    if not isinstance(state, dict) or state.get("format") not in (FORMAT, UNSUMMED):
        raise ValueError(f"this is no pickled program of the format {FORMAT!r}")
    try:
        if state["format"] == FORMAT and state["checksum"] != _checksum(state):
            raise ValueError("the pickled program is damaged: its checksum is another")
        code = Instructions.restored(state["code"])
        arguments = {str(name): decoded(tree) for name, tree in state["arguments"].items()}
        results = decoded(state["results"])
        labels = {int(slot): str(label) for slot, label in state["labels"].items()}
        leaves(arguments), leaves(results)  # refuse what is nested too deep
        listing = Listing(str(state["name"]), arguments, results, code, labels, int(state["reverse"]))
        sizes = [sum(slot.leaf.size for slot in slots) for slots in (listing.inputs, listing.outputs)]
        if sizes != [code.inputs, len(code.outputs)]:
            raise ValueError("arguments and results are not those of the instructions")
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError) as error:
        raise ValueError(f"the pickled program is damaged: {type(error).__name__} {error}") from None
    return listing, bool(state.get("exact"))


def _checksum(state: Mapping[str, Any]) -> int:
    """CRC-32 of the plain data, without the checksum itself."""
    code = state["code"]
    arrays = [code[part] for part in ("codes", "operands", "outputs")]
    exact = [
        code["inputs"],
        code["constants"],
        code["rows"],
        state["name"],
        state["labels"],
        state["reverse"],
        *("exact" for _ in range(bool(state.get("exact")))),
    ]
    text = repr(exact) + _text([*state["arguments"].items(), state["results"]])
    return zlib.crc32(b"".join([text.encode(errors="backslashreplace"), *arrays]))


def _text(structure: Any) -> str:
    """An encoded structure as text; keys that need not be the same text elsewhere go by their type."""
    if isinstance(structure, (list, tuple)):
        return f"{type(structure).__name__}({','.join(map(_text, structure))})"
    kind = type(structure)
    return repr(structure) if kind in (str, int, float, bool, type(None)) else kind.__name__
