"""The official BSON corpus, whole: every file, every case.

`bson.json_util` is the other end of extended JSON, `bson.Decimal128` that of decimal strings.
"""

from __future__ import annotations

import decimal
import json
from typing import Any

import bson
import pytest
from bson import json_util
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.json_util import JSONMode, JSONOptions
from bson.son import SON
from tests.parity.beside_bson import both_decode, both_encode, decode, encode, outcome
from tests.parity.spec_files import file_names, needed, scenarios

CORPUS = scenarios("bson-corpus")
OPTIONS: CodecOptions[Any] = CodecOptions(
    tz_aware=True,
    uuid_representation=UuidRepresentation.STANDARD,
    document_class=SON,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)

# No extended JSON to the specification, but `json_util` takes it; no byte of it reaches a codec.
READ_BY_JSON_UTIL = {
    "Bad $date (number, not string or hash)",  # an older form of a date
    "Bad $numberLong (number, not string)",  # older exports hold it
    "$uuid invalid value--misplaced hyphens",  # uuid.UUID ignores where hyphens are
    "Null byte in $regularExpression options",  # unknown letters are skipped
}

pytestmark = needed(CORPUS)


def cases(kind: str) -> Any:
    """Every case of a kind, in all files, as a test of its own."""
    return pytest.mark.parametrize(
        ("case", "corpus"),
        [
            pytest.param(case, corpus, id=f"{name}-{case['description']}")
            for name, corpus in CORPUS.items()
            for case in corpus.get(kind, ())
        ],
    )


@cases("valid")
def test_valid_bytes_are_read_and_written(case: dict[str, Any], corpus: dict[str, Any]) -> None:
    canonical = bytes.fromhex(case["canonical_bson"])
    assert both_decode(canonical, OPTIONS)[0] == "ok"
    # Deprecated types are read as what stands for them today.
    written = bytes.fromhex(case.get("converted_bson", case["canonical_bson"]))
    if not corpus.get("deprecated") or "converted_bson" in case:
        assert encode(decode(canonical, OPTIONS), options=OPTIONS) == written
    for kind in ("degenerate_bson", "converted_bson"):
        if kind in case:
            data = bytes.fromhex(case[kind])
            assert both_decode(data, OPTIONS)[0] == "ok"
            assert encode(decode(data, OPTIONS), options=OPTIONS) == written


@cases("valid")
def test_valid_values_meet_their_extended_json(
    case: dict[str, Any], corpus: dict[str, Any]
) -> None:
    # Without a UUID representation, binary data keep their subtype in extended JSON.
    options = OPTIONS.with_options(uuid_representation=UuidRepresentation.UNSPECIFIED)
    value = decode(bytes.fromhex(case["canonical_bson"]), options)
    written = bytes.fromhex(case.get("converted_bson", case["canonical_bson"]))
    text = case.get("converted_extjson", case["canonical_extjson"])
    if not case.get("lossy"):
        assert same_json(json_util.dumps(value, json_options=json_options("CANONICAL")), text)
    if "relaxed_extjson" in case:
        relaxed = json_util.dumps(value, json_options=json_options("RELAXED"))
        assert same_json(relaxed, case["relaxed_extjson"])
    for kind in ("canonical_extjson", "degenerate_extjson", "converted_extjson"):
        if kind in case and not case.get("lossy"):
            read = json_util.loads(case[kind], json_options=json_options("CANONICAL"))
            if isinstance(
                read, bson.DBRef
            ):  # json_util sees one even where a document stands alone
                read = read.as_doc()
            assert both_encode(read, False, options)[0] == "ok"
            assert encode(read, options=options) == written


@cases("decodeErrors")
def test_invalid_bytes_are_refused(case: dict[str, Any], corpus: dict[str, Any]) -> None:
    assert both_decode(bytes.fromhex(case["bson"]), OPTIONS) == (
        "raised",
        bson.errors.InvalidBSON,
    )


@cases("parseErrors")
def test_what_is_no_extended_json_is_refused(case: dict[str, Any], corpus: dict[str, Any]) -> None:
    if corpus["bson_type"] == "0x13":
        with pytest.raises(decimal.DecimalException):
            bson.Decimal128(case["string"])
        return

    def read() -> bytes:
        options = json_options("CANONICAL").with_options(
            uuid_representation=UuidRepresentation.STANDARD
        )
        value = json_util.loads(case["string"], json_options=options)
        return encode(value, options=OPTIONS)

    accepted = case["description"] in READ_BY_JSON_UTIL
    assert outcome(read)[0] == ("ok" if accepted else "raised")


def test_every_file_and_every_kind_of_case_is_run() -> None:
    assert file_names("bson-corpus") == {*CORPUS}
    about = {"description", "bson_type", "test_key", "deprecated"}
    for corpus in CORPUS.values():
        assert {*corpus} - about <= {"valid", "decodeErrors", "parseErrors"}
        for case in corpus.get("valid", ()):
            kinds = {key for key in case if key.endswith(("_bson", "_extjson"))}
            assert kinds <= {
                f"{form}_{kind}"
                for form in ("canonical", "degenerate", "converted", "relaxed")
                for kind in ("bson", "extjson")
            }
    assert len(CORPUS) >= 31
    count = sum(len(corpus.get("valid", ())) for corpus in CORPUS.values())
    assert count >= 700


def json_options(mode: str) -> JSONOptions:
    return JSONOptions(
        json_mode=getattr(JSONMode, mode),
        datetime_conversion=DatetimeConversion.DATETIME_AUTO,
        document_class=SON,
        tz_aware=True,
    )


def same_json(one: str, other: str) -> bool:
    """Numbers in strings are compared as numbers: 1e+18 is 1E+18."""
    first, second = (json.loads(text, object_hook=with_floats) for text in (one, other))
    return bool(first == second)


def with_floats(value: dict[str, Any]) -> Any:
    double = value.get("$numberDouble")
    return {"$numberDouble": repr(float(double))} if isinstance(double, str) else value
