"""Peak memory of one pass, in a fresh process per workload and peer.

Run as a child: `python -m benches.memory WORKLOAD KIND PEER URI` prints bytes above what
was resident just before.
"""

import json
import sys

from benches.group import Group
from benches.mongojet_peer import leave
from benches.peers import PEERS
from benches.resident import in_child, peak_above_now
from benches.workloads import WORKLOADS, run_command


def peak_bytes(workload, kind, peer, uri):
    """The peak a child measures, or None where the system keeps no such mark."""
    return in_child("benches.memory", workload.name, kind, peer.name, uri)


def measure_here(workload_name, kind, peer_name, uri):
    workload = next(one for one in WORKLOADS if one.name == workload_name)
    peer = next(one for one in PEERS if (one.kind, one.name) == (kind, peer_name))
    with Group(kind, [peer]) as group:
        [opened] = group.at(uri, listened=workload.listened, log=workload.log)
        # Connects and loads what is loaded at first use.
        group.measure(run_command.WORKLOAD, opened, range(10))
        items = workload.items(1)
        return peak_above_now(lambda: group.measure(workload, opened, items))


if __name__ == "__main__":
    print(json.dumps(measure_here(*sys.argv[1:])))
    leave(0)
