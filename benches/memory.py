"""Peak memory of one pass, in a fresh process per workload and peer.

Run as a child: `python -m benches.memory WORKLOAD KIND PEER URI` prints bytes above what
was resident just before. The kernel's per-process high-water mark is read from /proc and
reset first; getrusage's ru_maxrss would not do, since a child inherits its parent's.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from benches.documents import PROJECT
from benches.group import Group
from benches.mongojet_peer import leave
from benches.peers import PEERS
from benches.workloads import WORKLOADS, run_command

STATUS = Path("/proc/self/status")


def peak_bytes(workload, kind, peer, uri):
    """The peak a child measures, or None where the system keeps no such mark."""
    if not STATUS.exists():
        return None
    child = [sys.executable, "-m", "benches.memory", workload.name, kind, peer.name, uri]
    done = subprocess.run(
        child, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True, timeout=300
    )
    return json.loads(done.stdout)


def measure_here(workload_name, kind, peer_name, uri):
    workload = next(one for one in WORKLOADS if one.name == workload_name)
    peer = next(one for one in PEERS if (one.kind, one.name) == (kind, peer_name))
    with Group(kind, [peer]) as group:
        [opened] = group.at(uri)
        # Connects and loads what is loaded at first use.
        group.measure(run_command.WORKLOAD, opened, range(10))
        items = workload.items(1)
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        group.measure(workload, opened, items)
        return resident("VmHWM") - before


def resident(field):
    kilobytes = re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)[1]
    return int(kilobytes) * 1024


if __name__ == "__main__":
    print(json.dumps(measure_here(*sys.argv[1:])))
    leave(0)
