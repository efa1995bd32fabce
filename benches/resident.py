"""Memory as the system counts it, measured in fresh processes. Linux only.

The kernel's per-process high-water mark is read from /proc and reset first; getrusage's
ru_maxrss would not do, since a child inherits its parent's.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from benches.documents import PROJECT

STATUS = Path("/proc/self/status")


def in_child(module, *arguments):
    """The JSON that `python -m module arguments` prints, or None where nothing can be measured."""
    if not STATUS.exists():
        return None
    child = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        child, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True, timeout=300
    )
    return json.loads(done.stdout)


def peak_above_now(action):
    """How many bytes more than now are resident at the worst moment of `action`."""
    Path("/proc/self/clear_refs").write_text("5")
    before = resident()
    action()
    return resident("VmHWM") - before


def resident(field="VmRSS"):
    kilobytes = re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)[1]
    return int(kilobytes) * 1024
