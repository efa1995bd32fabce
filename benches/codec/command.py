"""`python -m benches codec`: the codec's ratios and whether they reach its goals. No server."""

import argparse
import os
import sys
from pathlib import Path

from benches import command_line, documents, results
from benches.bson_documents import MAKERS
from benches.codec import goals, measure, memory, report
from benches.codec.codecs import OPENERS, SUBJECT
from benches.codec.works import WORKS
from benches.report import doubts

LATEST = Path(__file__).parent.parent / "results" / "codec.json"


def main(arguments):
    options = parsed(arguments)
    codecs = opened(options.peers)
    settings = {
        "rounds": options.rounds,
        "load_at_start": os.getloadavg()[0],
        "data": documents.origin(),
    }
    found = [
        measured(work, name, codecs, options)
        for name in options.documents
        for work in options.works
    ]
    if options.growth and codecs[0].name == SUBJECT:
        print("memory over a million documents ...", file=sys.stderr, flush=True)
        settings["resident"] = memory.growth(SUBJECT, 1_000_000 // options.share)
    results.save(options.save, found, settings)
    return publish(found, settings, [codec.name for codec in codecs], options.gate)


def measured(work, name, codecs, options):
    print(f"{work.name} {name} ...", file=sys.stderr, flush=True)
    result = measure.run(work, name, codecs, options.rounds, options.share)
    if work.peak_memory and not options.no_memory:
        for codec in codecs:
            result.peaks[codec.name] = memory.peak_bytes(codec.name, name, options.share)
    return result


def publish(found, settings, codecs, gate):
    reference, *others = codecs
    verdicts = [verdict for result in found for verdict in goals.verdicts(result)]
    parts = [report.introduction(settings, reference), *doubts(settings)]
    if found:
        parts += [report.ratio_table(found, others)]
        parts += [report.summary(found, peer) for peer in others]
    if "orjson" in codecs:
        parts.append(report.ORJSON_NOTE)
    if marks := settings.get("resident"):
        verdicts.append(goals.growth_verdict(*marks))
        parts.append(report.marked(verdicts[-1]).capitalize())
    missed = [verdict for verdict in verdicts if not verdict.passed]
    parts.append(f"{len(verdicts) - len(missed)} of {len(verdicts)} goals met.")
    print(*parts, sep="\n\n")
    return 1 if gate and (missed or not verdicts) else 0


def opened(names):
    """The codecs that can be imported, the subject first; without a referee there are no goals."""
    codecs = []
    for name in OPENERS:
        try:
            if name in names:
                codecs.append(OPENERS[name]())
        except ImportError as reason:
            if name == SUBJECT:
                sys.exit(f"{name} is absent ({reason}): build it, or leave it out of --peers")
            print(f"{name} is absent: {reason}", file=sys.stderr)
    return codecs


def parsed(arguments):
    works, growth = {work.name: work for work in WORKS}, "growth"
    parser = argparse.ArgumentParser(prog="python -m benches codec", description=__doc__)
    command_line.add_common(parser, [*works, *MAKERS, growth], LATEST)
    parser.add_argument("--peers", metavar="NAME,...", help=f"of {', '.join(OPENERS)}")
    options = parser.parse_args(arguments)
    names = command_line.split(parser, options.only, [*works, *MAKERS, growth])
    options.rounds = command_line.rounds(options)
    options.share = 4 if options.quick else 1
    options.peers = command_line.split(parser, options.peers, OPENERS)
    options.growth = growth in names and not options.no_memory
    # Naming works alone means for all documents, and documents alone all works.
    options.works = [work for name, work in works.items() if name in names]
    options.documents = [name for name in MAKERS if name in names]
    if options.works or options.documents:
        options.works = options.works or list(WORKS)
        options.documents = options.documents or list(MAKERS)
    return options
