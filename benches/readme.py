"""`python -m benches readme`: the tables of README.md, made from saved runs.

A row comes from the last run that holds it, so rows that were disturbed can be measured again.
"""

import argparse
import re

from benches import results
from benches.codec.codecs import REFEREE
from benches.codec.works import WORKS
from benches.documents import PROJECT
from benches.report import table
from benches.workloads import WORKLOADS


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benches readme", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="FILE", help="saved by this or by codec")
    parser.add_argument("--write", action="store_true", help="into README.md, else print")
    options = parser.parse_args(arguments)
    found = {(one.workload, one.kind): one for run in options.runs for one in results.load(run)}
    for made in filter(None, (server_table(found), codec_table(found))):
        if options.write:
            replace_table(PROJECT / "README.md", made)
        else:
            print(made, end="\n\n")
    return 0


def server_table(found):
    head = ("workload", "API", "PyMongo: wall", "CPU", "Motor: wall", "CPU", "memory")
    rows = [
        (
            workload.title,
            kind,
            *(ratio(one, peer, what) for peer in ("pymongo", "motor") for what in ("wall", "cpu")),
            peak(one, "pymongo"),
        )
        for workload in WORKLOADS
        for kind in ("sync", "async")
        if (one := found.get((workload.name, kind))) and not workload.by_name_only
    ]
    return rows and table(head, rows)


def codec_table(found):
    works = {work.name: work.title for work in WORKS}
    documents = dict.fromkeys(kind for work, kind in found if work in works)
    rows = []
    for document in documents:
        row = [one for work in works if (one := found.get((work, document)))]
        peaks = (made for one in row if (made := peak(one, REFEREE)))
        rows.append(
            (
                document.replace("_", " "),
                *(ratio(one, REFEREE, "wall") for one in row),
                next(peaks, ""),
            )
        )
    return rows and table(("document", *works.values(), "peak memory"), rows)


def ratio(result, peer, measure):
    if peer not in result.others:
        return ""
    spread = result.ratio(peer, measure)
    return f"{spread.median:.1f}x ({spread.low:.1f}-{spread.high:.1f})"


def peak(result, peer):
    found = result.peak_ratio(peer)
    return f"{found:.1f}x" if found else ""


def replace_table(path, made):
    """Put it in the place of the table with the same head, which must be there once."""
    head = made.split("\n", 1)[0]
    text, times = re.subn(rf"{re.escape(head)}\n(\|.*\n)+", lambda _: made + "\n", path.read_text())
    if times != 1:
        raise SystemExit(f"{path.name} holds {times} tables with the head {head}")
    path.write_text(text)
