"""Arguments of operations and options of entities, as Python takes them."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import pymongo
from pymongo import CursorType, ReturnDocument
from pymongo.client_session_shared import TransactionOptions
from pymongo.operations import SearchIndexModel
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import make_read_preference
from pymongo.write_concern import WriteConcern
from tests.spec.unified.match import Unsupported

NOT_IN_PYMONGO = {
    "defaultTimeoutMS",
    "rawData",
    "timeoutMode",
    "waitQueueMultiple",
    "waitQueueSize",
}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def keywords(
    like: Callable[..., Any], arguments: Mapping[str, Any], entities: Any, renamed: dict[str, str]
) -> dict[str, Any]:
    """The arguments for a method with `like`'s parameters.

    What is no parameter of its own goes through `**kwargs` into the command as it is called there.
    """
    parameters = inspect.signature(like).parameters
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    result = {}
    for name, value in arguments.items():
        if name in NOT_IN_PYMONGO:
            raise Unsupported(f"PyMongo has no {name}")
        python_name = renamed.get(name, snake(name))
        if python_name not in parameters:
            if not takes_any:
                raise Unsupported(f"PyMongo's {like.__name__} has no {name}")
            python_name = name
        result[python_name] = argument(name, value, entities)
    return result


def argument(name: str, value: Any, entities: Any) -> Any:
    match name:
        case "session":
            return entities[value]
        case "readConcern":
            return ReadConcern(**value)
        case "writeConcern":
            return write_concern(value)
        case "readPreference":
            return read_preference(value)
        case "returnDocument":
            return {"Before": ReturnDocument.BEFORE, "After": ReturnDocument.AFTER}[value]
        case "cursorType":
            return CURSOR_TYPES[value]
        case "requests" | "models" if value and "definition" not in value[0]:
            return [write_model(model) for model in value]
        case "models":
            return [search_index(model) for model in value]
        case "model":
            return search_index(value)
    return value


def options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Collection, database and transaction options."""
    if "timeoutMS" in given:
        raise Unsupported("PyMongo has no timeoutMS of a database or collection")
    return {snake(name): argument(name, value, {}) for name, value in given.items()}


def session_options(given: Mapping[str, Any], entities: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in given.items():
        match name:
            case "defaultTransactionOptions":
                result["default_transaction_options"] = TransactionOptions(**options(value))
            case "causalConsistency" | "snapshot":
                result[snake(name)] = value
            case "snapshotTime":
                result["snapshot_time"] = entities[value]
            case _:
                raise Unsupported(f"PyMongo has no {name} of a session")
    return result


def write_concern(value: Mapping[str, Any]) -> WriteConcern:
    names = {"journal": "j", "wtimeoutMS": "wtimeout"}
    return WriteConcern(**{names.get(name, name): one for name, one in value.items()})


def read_preference(value: Mapping[str, Any]) -> Any:
    mode = {name.lower(): number for number, name in enumerate(MODES)}[value["mode"].lower()]
    return make_read_preference(mode, value.get("tagSets"), value.get("maxStalenessSeconds", -1))


def write_model(model: Mapping[str, Any]) -> Any:
    ((name, fields),) = model.items()
    kind = getattr(pymongo, name[0].upper() + name[1:])
    return kind(**keywords(kind, fields, {}, {}))


def search_index(model: Mapping[str, Any]) -> SearchIndexModel:
    return SearchIndexModel(**model)


MODES = ("Primary", "PrimaryPreferred", "Secondary", "SecondaryPreferred", "Nearest")
CURSOR_TYPES = {
    "nonTailable": CursorType.NON_TAILABLE,
    "tailable": CursorType.TAILABLE,
    "tailableAwait": CursorType.TAILABLE_AWAIT,
}
