"""Interleaved rounds of one work on one document, garbage collector on, every answer compared."""

import gc
import math
from dataclasses import replace

import bson

from benches import bson_documents
from benches.codec.works import Given
from benches.group import Sample, measured_call
from benches.results import Result
from benches.rounds import WrongAnswer, ordered


def run(work, name, codecs, rounds, share):
    """The samples of a row; a `share` of 4 makes a pass a quarter as long."""
    document = bson_documents.named(name)
    count = work.count(len(bson.encode(document)), share)
    lanes = [Lane(work, codec, Given(*codec.given(document), count)) for codec in codecs]
    # Also warms up, and refuses a wrong answer before anything is timed.
    quickest = min(lane.one_pass().wall for lane in lanes)
    passes = math.ceil(LEAST_SECONDS / quickest)
    samples: dict[str, list[Sample]] = {codec.name: [] for codec in codecs}
    for number in range(rounds):
        for lane in ordered(lanes, number):
            gc.collect()
            samples[lane.name].append(total(lane.one_pass() for _ in range(passes)))
    return Result(work.name, work.title, name, count * passes, samples)


class Lane:
    """A codec with what it works on."""

    def __init__(self, work, codec, given):
        self.name = codec.name
        self._work, self._codec = work, codec
        self._material = work.material(codec, given)
        self._last, self._count = work.expected(given), given.count

    def one_pass(self):
        # What is kept dies here, unmeasured: after the sample was taken, before the next is.
        sample, answer = measured_call(self._work.run, self._codec, self._material)
        last = answer[-1] if self._work.kept else answer
        if (self._work.kept and len(answer) != self._count) or not same(last, self._last):
            raise WrongAnswer(f"{self._work.name}: {self.name} answered {last!r:.300}")
        return sample


def same(found, expected):
    """Equal in value, type and order: == forgives integer types, BSON the classes of strings."""
    if isinstance(expected, bytes):
        return found == expected
    return repr(found) == repr(expected) and bson.encode(found) == bson.encode(expected)


def total(samples):
    whole = Sample(0.0, 0.0)
    for sample in samples:
        whole = replace(whole, wall=whole.wall + sample.wall, cpu=whole.cpu + sample.cpu)
    return whole


# A sample this long is far above the clocks' resolution and the timer's own cost.
LEAST_SECONDS = 0.06
