"""What the codec must reach against PyMongo's `bson` with its C extension."""

from benches.codec.codecs import REFEREE, SUBJECT
from benches.gate import Verdict


def verdicts(result):
    """One for each goal this row has; what was not measured has not passed."""
    if result.reference != SUBJECT:
        return
    goal = WALL.get((result.workload, result.kind))
    if goal:
        found = result.ratio(REFEREE, "wall").median if REFEREE in result.samples else 0
        yield Verdict(found >= goal, f"wall {goal}x")
    if result.peaks:
        yield Verdict((result.peak_ratio(REFEREE) or 0) >= PEAK, f"memory {PEAK}x")


def growth_verdict(after_tenth, after_all):
    """Whether memory stays flat, from what was resident then."""
    grown = after_all / after_tenth
    text = f"after all documents in turn {grown:.3f}x what a tenth of them left, at most {GROWTH}x"
    return Verdict(grown <= GROWTH, f"resident memory {text} wanted")


OFFICIAL = ("flat", "deep", "full", "tweet", "small", "large")

# By work and document.
WALL = {
    ("decode_kept", "tweet"): 3.0,
    ("decode_kept", "deep"): 3.0,
    ("decode_kept", "flat"): 2.0,
    ("decode_kept", "small"): 1.8,
    **{(work, name): 1.8 for work in ("decode_one", "encode_one") for name in OFFICIAL},
}
# A peak not above bson's; the last per cent is the allocator's luck.
PEAK = 0.99
GROWTH = 1.01
