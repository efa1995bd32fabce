"""Type annotations of two members, compared as they are written but for names alike in meaning."""

from __future__ import annotations

import re
from typing import Any

# PyMongo's name for it, and ferromongo's.
_NAMES = {
    "_Address": "Address",
    "_AgnosticClientSession": "ClientSession",
    "_AgnosticCollection": "Collection",
    "_BoundSessionContextT": "AbstractContextManager[ClientSession]",
    "_ClientT": "MongoClient[Any]",
    "_CodecDocumentType": "_CodecDocument",
    "_CollationIn": "CollationIn",
    "_DocumentType": "DocumentType",
    "_DocumentTypeArg": "DocumentTypeArg",
    "_Hint": "Hint",
    "_IndexKeyHint": "Hint",
    "_IndexList": "KeyPattern",
    "_Pipeline": "Pipeline",
    "_ServerMode": "ServerMode",
    "_Sort": "KeyPattern",
    "_WriteOp": "WriteOp",
}


def different(kind: type, ours: Any, theirs: Any) -> str:
    """What differs for the parameters both have, and for what is returned; "" for nothing."""
    pair = [_written(member) for member in (ours, theirs)]
    return ", ".join(
        f"{name}: {pair[0][name]} != {pair[1][name]}"
        for name in pair[0].keys() & pair[1].keys()
        if _plain(kind, pair[0][name]) != _plain(kind, pair[1][name])
    )


def _written(member: Any) -> dict[str, Any]:
    function = member.fget if isinstance(member, property) else member
    return getattr(function, "__annotations__", {})


def _plain(kind: type, annotation: Any) -> set[str]:
    """The parts of the union that the annotation is."""
    text = str(annotation).strip("'\"")
    text = re.sub(r"\b(?:\w+\.)+", "", text)  # modules
    text = re.sub(r"\w+", lambda word: _NAMES.get(word[0], word[0]), text)
    text = text.replace("Async", "").replace("[Any]", "")
    if text == "Self":
        text = kind.__name__.removeprefix("Async").removeprefix("RawBatch") + "[DocumentType]"
    return set(re.split(r" \| (?![^[]*\])", text))
