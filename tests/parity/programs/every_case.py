"""Every value, every option and every fault once, for an interpreter that watches its memory."""

import gc

import bson
from tests.parity.beside_bson import both_decode, both_encode, decode, encode, outcome
from tests.parity.codec_faults import BAD_BYTES, BAD_VALUES, PLACES, READING, REFUSING, Asked
from tests.parity.sample_options import OPTIONS
from tests.parity.sample_values import AUTO, READABLE, VALUES


def main() -> None:
    gc.set_threshold(20)
    for place in PLACES.values():
        for value in VALUES.values():
            both_encode(place(value), options=AUTO)
        for value in BAD_VALUES.values():
            outcome(encode, place(value), False, AUTO)
        for options in REFUSING.values():
            both_encode(place(Asked()), options=options)
    data = bson.encode(READABLE, codec_options=AUTO)
    for options in OPTIONS.values():
        both_decode(data, options)
    for options in READING.values():
        for bad in BAD_BYTES.values():
            outcome(decode, bad, options)
    for cut in range(len(data)):
        outcome(decode, data[:cut])
    gc.collect()
    print("done")


if __name__ == "__main__":
    main()
