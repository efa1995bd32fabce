"""PyMongo in the fuzz targets: the option sets, and whether its answer agrees with ferromongo's."""

import collections.abc
import datetime
import itertools
import struct
import uuid

import bson
from bson.binary import Binary
from bson.codec_options import CodecOptions, TypeCodec, TypeRegistry
from bson.datetime_ms import DatetimeMS
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from bson.son import SON


class Fields(collections.abc.MutableMapping):
    """A document class that is no dict."""

    def __init__(self):
        self.fields = {}

    def __getitem__(self, key):
        return self.fields[key]

    def __setitem__(self, key, value):
        self.fields[key] = value

    def __delitem__(self, key):
        del self.fields[key]

    def __iter__(self):
        return iter(self.fields)

    def __len__(self):
        return len(self.fields)


class Wrapped:
    """What a type codec makes of an Int64 or a string."""

    def __init__(self, value):
        self.value = value


class NumberCodec(TypeCodec):
    python_type = Wrapped
    bson_type = bson.Int64

    def transform_python(self, value):
        return value.value

    def transform_bson(self, value):
        return Wrapped(value)


class TextCodec(NumberCodec):
    python_type = datetime.timedelta
    bson_type = str

    def transform_python(self, value):
        return value.total_seconds()


def fallback(value):
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    return value


INDIA = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
NEW_YORK = datetime.timezone(-datetime.timedelta(hours=5))

# The default options come first: they have half of the inputs to themselves.
OPTIONS = [
    CodecOptions(
        document_class=document_class,
        tz_aware=zone is not False,
        tzinfo=zone or None,
        uuid_representation=uuids,
        unicode_decode_error_handler=errors,
        datetime_conversion=dates,
        type_registry=registry,
    )
    for registry, document_class, zone, uuids, errors, dates in itertools.product(
        [TypeRegistry(), TypeRegistry([NumberCodec(), TextCodec()], fallback)],
        [dict, SON, RawBSONDocument, Fields],
        [False, None, INDIA, NEW_YORK],
        [0, 3, 4, 5, 6],
        ["strict", "ignore", "backslashreplace", "surrogateescape"],
        [1, 2, 3, 4],
    )
]
DEFAULT = OPTIONS[0]
assert CodecOptions() == DEFAULT
ANY_DATE = CodecOptions(datetime_conversion=4)


def flat(value):
    """A value as a list that compares types, order, bits and hidden state.

    Built without recursion: documents may be nested as deeply as the codec takes them.
    """
    out, stack = [], [value]
    while stack:
        value = stack.pop()
        kind = type(value)
        out.append(kind)
        if kind is list or kind is tuple:
            out.append(len(value))
            stack.extend(value)
        elif kind is RawBSONDocument:
            out.append(bytes(value.raw))
        elif isinstance(value, collections.abc.Mapping):
            out.append(list(value))
            stack.extend(value.values())
        elif kind is float:
            out.append(struct.pack("<d", value))
        elif kind is Binary:
            out.extend((bytes(value), value.subtype))
        elif kind is bson.Code:
            out.append(str(value))
            stack.append(value.scope)
        elif kind is bson.DBRef:
            out.extend((value.collection, value.database))
            stack.extend((value.id, value._DBRef__kwargs))
        elif kind is bson.Regex:
            out.extend((value.pattern, type(value.flags), value.flags))
        elif kind is datetime.datetime:
            out.extend((value, value.fold, repr(value.tzinfo), value.utcoffset()))
        elif kind is uuid.UUID:
            out.extend((value.int, value.is_safe))
        elif kind is DatetimeMS or kind is bson.Int64:
            out.append(int(value))
        elif kind is Wrapped:
            stack.append(value.value)
        else:
            out.append(value)
    return out


def theirs(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        return error


def decoded(data, options):
    """PyMongo's C extension (4.20) reads past the end of some malformed arrays before it refuses
    them: bytes behind the data keep that from ending the run."""
    return theirs(bson.decode, memoryview(data + bytes(64))[: len(data)], options)


def refused(answer):
    return isinstance(answer, Exception)


def too_deep(size, *answers):
    """A known difference: the recursion limit counts the Python frames around a call too. So the
    last levels before it are read by one codec, or at one time, and not by the other."""
    limits = "recursion", "too deep"
    return size > 900 * SMALLEST_LEVEL and any(
        refused(answer) and any(word in str(answer) for word in limits) for answer in answers
    )


SMALLEST_LEVEL = 7


def same(ours, peers):
    if refused(ours) or refused(peers):
        assert refused(ours) is refused(peers), shown(ours=ours, theirs=peers)
    else:
        assert flat(ours) == flat(peers), shown(ours=ours, theirs=peers)


def shown(**answers):
    try:
        return "\n".join(f"{name}: {answer!r}" for name, answer in answers.items())
    except RecursionError:
        return "\n".join(f"{name}: {type(answer)}" for name, answer in answers.items())


def check_decoded(data, options, ours):
    """Ours is a document equal to PyMongo's, or InvalidBSON where PyMongo refuses too."""
    assert not refused(ours) or type(ours) is InvalidBSON, shown(ours=ours)
    peers = decoded(data, options)
    if not too_deep(len(data), ours, peers):
        same(ours, peers)


def check_batch(array, options, ours):
    """A batch of documents is what PyMongo reads as an array of documents."""
    if refused(ours):
        assert type(ours) is InvalidBSON, shown(ours=ours)
        return  # also for an array of other things, which PyMongo reads
    wrapped = struct.pack("<i", len(array) + 7) + b"\x04\0" + array + b"\0"
    peers = decoded(wrapped, options)
    if not too_deep(len(array), peers):
        same(ours, peers if refused(peers) else peers[""])


def check_again(data, first, second):
    """A document that was encoded and decoded again is the document it was."""
    if not too_deep(len(data), second):
        assert not refused(second), shown(first=first, second=second)
        same(first, second)


def check_encoded(document, honest, check_keys, options, ours):
    """Ours are PyMongo's bytes, or an exception of the same class."""
    peers = theirs(bson.encode, document, check_keys, options)
    if refused(ours) and refused(peers):
        # A known difference: which of its attributes unmasks an object that lies about its type.
        assert type(ours) is type(peers) or not honest, shown(
            document=document, ours=ours, theirs=peers
        )
    else:
        assert ours == peers, shown(document=document, ours=ours, theirs=peers)
