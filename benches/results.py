"""What a run found: the samples as saved, and the ratios made of them."""

import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from benches.group import Sample


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float


@dataclass
class Result:
    """One workload in one group; the first peer is the one the others are divided by."""

    workload: str
    title: str
    kind: str
    operations: int
    samples: dict
    peaks: dict = field(default_factory=dict)
    skipped: dict = field(default_factory=dict)

    @property
    def reference(self):
        return next(iter(self.samples), None)

    @property
    def others(self):
        return [name for name in self.samples if name != self.reference]

    def ratio(self, peer, measure):
        """`peer` / reference of "wall" or "cpu", over the rounds: each round is one ratio."""
        pairs = zip(self.samples[peer], self.samples[self.reference], strict=True)
        ratios = [getattr(one, measure) / getattr(reference, measure) for one, reference in pairs]
        return Spread(statistics.median(ratios), min(ratios), max(ratios))

    def peak_ratio(self, peer):
        mine, theirs = self.peaks.get(self.reference), self.peaks.get(peer)
        return theirs / mine if mine and theirs else None

    def microseconds(self, peer, measure):
        times = [getattr(sample, measure) for sample in self.samples[peer]]
        return statistics.median(times) / self.operations * 1e6


def save(path, results, settings):
    run = {"settings": settings, "machine": machine(), "results": [asdict(one) for one in results]}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run, indent=1) + "\n")


def load(path):
    """The results of a saved run."""
    saved = json.loads(Path(path).read_text())["results"]
    for result in saved:
        for peer, samples in result["samples"].items():
            result["samples"][peer] = [Sample(**sample) for sample in samples]
    return [Result(**result) for result in saved]


def machine():
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


PACKAGES = ("ferromongo", "pymongo", "motor", "mongojet", "orjson", "uvloop")
