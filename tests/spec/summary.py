"""What a run of the unified tests found: per folder and API, and why tests were left out."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

TEST = re.compile(r"test_unified\.py::test_unified\[(sync|async)-([^/]+)/")
OUTCOMES = ("passed", "failed", "xfailed", "xpassed", "skipped")
# What the server at hand is not, in one word.
KINDS = {
    "needs minServerVersion": "a newer server",
    "needs maxServerVersion": "an older server",
    "needs topologies": "another topology",
    "needs serverless": "serverless",
    "needs auth": "a server with authentication",
    "needs serverParameters": "other server parameters",
    "needs csfle": "encryption",
}


def lines(stats: dict[str, list[Any]]) -> Iterator[str]:
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in (*OUTCOMES, "error"):
        for report in stats.get(outcome, []):
            if found := TEST.search(report.nodeid):
                api, folder = found.groups()
                counts[folder, api]["failed" if outcome == "error" else outcome] += 1
                if outcome == "skipped":
                    reasons[folder][kind_of(report.longrepr[2])] += 1
    yield f"{'folder':42}{'API':7}" + "".join(f"{outcome:>9}" for outcome in OUTCOMES)
    for (folder, api), count in sorted(counts.items()):
        yield f"{folder:42}{api:7}" + "".join(f"{count[outcome]:9}" for outcome in OUTCOMES)
    total = sum(counts.values(), Counter())
    yield f"{'all':49}" + "".join(f"{total[outcome]:9}" for outcome in OUTCOMES)
    yield "skipped, both APIs together:"
    for folder, found in sorted(reasons.items()):
        yield f"{folder}: " + "; ".join(f"{count} {why}" for why, count in found.most_common())


def kind_of(reason: str) -> str:
    reason = reason.removeprefix("Skipped: ")
    return KINDS.get(reason.split(":")[0], reason)
