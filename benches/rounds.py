"""Interleaved rounds of one workload over the open peers of a group.

Every round runs every peer in turn, in another order, so that what the machine does
meanwhile falls on all alike. Before any is timed, each has warmed up and answered right;
later answers are checked as well.
"""

import bson

from benches.group import Sample


class WrongAnswer(Exception):
    """A peer's answer differs from what the workload expects: its time means nothing."""


def run(workload, group, peers, control, rounds, operations):
    """({peer name: one Sample a round}, {peer name: why it was skipped})."""
    skipped = {}
    for peer in peers:
        try:
            one_pass(workload, group, peer, control, operations)
        except NotImplementedError as lacking:
            skipped[peer.name] = f"{lacking}"
    peers = [peer for peer in peers if peer.name not in skipped]
    samples: dict[str, list[Sample]] = {peer.name: [] for peer in peers}
    for number in range(rounds):
        for peer in ordered(peers, number):
            samples[peer.name].append(one_pass(workload, group, peer, control, operations))
    return samples, skipped


def ordered(peers, number):
    """Rotated, and every other round backwards: no peer always follows the same one."""
    first = number // 2 % max(1, len(peers))
    rotated = peers[first:] + peers[:first]
    return rotated[::-1] if number % 2 else rotated


def one_pass(workload, group, peer, control, operations):
    workload.reset(control)
    items = workload.items(operations)
    expected = workload.expected(items)
    sample, answer = group.measure(workload, peer, items)
    outcome = workload.outcome(control, answer)
    # As BSON, since == on dicts would forgive another order of keys or another integer type.
    if bson.encode(outcome) != bson.encode(expected):
        raise WrongAnswer(f"{workload.name}: {peer.name} ({group.kind}) answered {outcome!r:.300}")
    return sample
