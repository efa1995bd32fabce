"""Memory of decoding, in fresh processes: the peak of a kept batch, and whether it grows.

Run as a child: `python -m benches.codec.memory peak CODEC DOCUMENT SHARE` prints the bytes that a
kept batch takes at worst; `... growth CODEC COUNT` prints what is resident after a tenth of
COUNT documents in turn, and after all.
"""

import itertools
import json
import sys

import bson

from benches import bson_documents
from benches.codec.codecs import OPENERS
from benches.codec.works import DECODE_KEPT, Given
from benches.resident import in_child, peak_above_now, resident


def peak_bytes(codec, document, share):
    return in_child("benches.codec.memory", "peak", codec, document, str(share))


def growth(codec, count):
    """(after a tenth of the documents, after all), in bytes."""
    return in_child("benches.codec.memory", "growth", codec, str(count))


def measure_peak(codec, document, share):
    codec, document = OPENERS[codec](), bson_documents.named(document)
    count = DECODE_KEPT.count(len(bson.encode(document)), int(share))
    given = Given(*codec.given(document), count)
    codec.decode(given.data)  # loads what is loaded at first use
    material = DECODE_KEPT.material(codec, given)
    return peak_above_now(lambda: DECODE_KEPT.run(codec, material))


def measure_growth(codec, count):
    """All kinds of documents take turns, so that a leak of any type would show."""
    codec = OPENERS[codec]()
    encoded = [codec.given(bson_documents.named(name))[1] for name in IN_TURN]
    tenth = int(count) // 10
    decode, marks = codec.decode, []
    for share in (tenth, 9 * tenth):
        for data in itertools.islice(itertools.cycle(encoded), share):
            decode(data)
        marks.append(resident())
    return marks


IN_TURN = ("flat", "deep", "full", "tweet", "small", "time_series")

if __name__ == "__main__":
    measure = {"peak": measure_peak, "growth": measure_growth}[sys.argv[1]]
    print(json.dumps(measure(*sys.argv[2:])))
