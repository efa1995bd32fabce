"""The ratios below which ferromongo is not released: `python -m benches --gate`.

They are lower than the goals, so that a noisy machine does not fail a good build.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    workload: str
    kind: str
    wall: float
    cpu: float | None = None


@dataclass(frozen=True)
class Verdict:
    passed: bool
    text: str


LINES = (
    Line("find_one_by_id", "sync", wall=1.6, cpu=3.0),
    Line("find_one_by_id", "async", wall=1.5, cpu=2.7),
    Line("find_one_50_tasks", "async", wall=2.3),
    Line("find_many_to_list", "sync", wall=2.5),
    Line("find_many_to_list", "async", wall=2.5),
)

SUBJECT = "ferromongo"
# Each line holds against PyMongo; against Motor as well where that was measured.
JUDGED = ("pymongo", "motor")


def judge(results):
    """A verdict per line, peer and measure; what was not measured has not passed."""
    by_key = {(result.workload, result.kind): result for result in results}
    for line in LINES:
        result = by_key.get((line.workload, line.kind))
        name = f"{line.workload} ({line.kind})"
        if result is None or result.reference != SUBJECT or "pymongo" not in result.others:
            yield Verdict(False, f"{name}: not measured against pymongo")
            continue
        for peer in JUDGED:
            if peer in result.others:
                yield from judge_peer(name, line, result, peer)


def judge_peer(name, line, result, peer):
    for measure, floor in (("wall", line.wall), ("cpu", line.cpu)):
        if floor is not None:
            found = result.ratio(peer, measure).median
            text = f"{name}: {measure} against {peer} {found:.2f}x, at least {floor}x wanted"
            yield Verdict(found >= floor, text)
