"""What was read can be written and read again, whatever the document class. Needs no `bson`."""

from __future__ import annotations

import collections
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from hypothesis import given
from tests.parity.beside_bson import shape
from tests.parity.sample_values import AnyMutableMapping
from tests.property.choices import seeds
from tests.property.python_values import ValueMaker

from ferromongo import _core

OPTIONS: CodecOptions[Any] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
CLASSES = (dict, SON, collections.OrderedDict, AnyMutableMapping)


@given(seeds)
def test_a_value_comes_back(seed: bytes) -> None:
    data = ValueMaker(seed).encoded()
    read = _core.decode(data, OPTIONS)
    written = _core.encode(read, False, OPTIONS)
    assert shape(_core.decode(written, OPTIONS)) == shape(read)
    # DBRefs write their own fields first and `_id` moves to the front; from then on the bytes stay.
    assert _core.encode(_core.decode(written, OPTIONS), False, OPTIONS) == written


@given(seeds)
def test_every_document_class_holds_the_same(seed: bytes) -> None:
    data = ValueMaker(seed).encoded()
    written = set()
    for kind in CLASSES:
        options = OPTIONS.with_options(document_class=kind)
        read = _core.decode(data, options)
        assert type(read) is kind
        written.add(_core.encode(read, False, options))
    assert len(written) == 1


@given(seeds)
def test_raw_documents_stay_as_they_are(seed: bytes) -> None:
    data = ValueMaker(seed).encoded()
    options = OPTIONS.with_options(document_class=RawBSONDocument)
    raw = _core.decode(data, options)
    assert raw.raw == data
    assert _core.encode(raw, False, options) == data
    inside = _core.decode(_core.encode({"inside": raw}, False, options), options)
    assert inside["inside"].raw == data
