"""`python -m benches`: the table of ratios, the raw samples as JSON, and the gate."""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from pymongo import MongoClient

from benches import (
    command_line,
    documents,
    gate,
    greenlets,
    growth,
    memory,
    readme,
    report,
    results,
    rounds,
    server,
)
from benches.codec import command as codec
from benches.delay_proxy import DelayProxy
from benches.group import Group
from benches.mongojet_peer import leave
from benches.peers import DATABASE, MOTOR_API, PEERS
from benches.workloads import WORKLOADS

COMMANDS = {
    "codec": codec.main,
    "greenlets": greenlets.main,
    "growth": growth.main,
    "readme": readme.main,
}
TLS = "tls"  # beside the delays, of which none goes with it
LATEST = Path(__file__).parent / "results" / "latest.json"


def main():
    if sys.argv[1:2] and (command := COMMANDS.get(sys.argv[1])):
        return command(sys.argv[2:])
    options = arguments()
    peers = chosen_peers(options.peers)
    load = os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        uri = server.quiet(stack.enter_context(server.deployment()))
        control = stack.enter_context(MongoClient(uri))
        # Proxies outlive the groups: a client says goodbye through its proxy when it closes.
        uris = {0.0: uri} | {
            delay: server.through(
                uri, stack.enter_context(DelayProxy(primary(control), delay)).address
            )
            for delay in {workload.delay for workload in options.only if workload.delay}
        }
        databases = {False: control[DATABASE]}
        if any(workload.tls for workload in options.only):
            uris[TLS] = server.quiet(stack.enter_context(server.deployment(tls=True)))
            databases[True] = stack.enter_context(MongoClient(uris[TLS]))[DATABASE]
        groups = [
            stack.enter_context(Group(kind, [one for one in peers if one.kind == kind], loop))
            for kind, loop in (("sync", None), ("async", loop_factory(options.uvloop)))
        ]
        found = list(run_all(options, groups, databases, uris))
        control.drop_database(DATABASE)
        settings = {
            "rounds": options.rounds,
            "load_at_start": load,
            "loop": "uvloop" if options.uvloop else "asyncio",
            "data": documents.origin(),
            "server": control.server_info()["version"],
        }
    results.save(options.save, found, settings)
    return publish(found, settings, options)


def run_all(options, groups, databases, uris):
    for workload in options.only:
        database = databases[workload.tls]
        uri = uris[TLS if workload.tls else workload.delay]
        workload.prepare(database)
        for group in groups:
            if workload.body(group.kind) and group.peers:
                yield run_one(options, workload, group, uri, database)


def run_one(options, workload, group, uri, database):
    print(f"{workload.name} ({group.kind}) ...", file=sys.stderr, flush=True)
    if workload.uri_options:
        uri = server.with_options(uri, **workload.uri_options)
    operations = max(1, workload.operations // (4 if options.quick else 1))
    peers = group.at(uri, listened=workload.listened, log=workload.log)
    samples, skipped = rounds.run(workload, group, peers, database, options.rounds, operations)
    peaks = {}
    if workload.peak_memory and not options.no_memory:
        for peer in group.peers:
            if peer.name in samples:
                workload.reset(database)
                peaks[peer.name] = memory.peak_bytes(workload, group.kind, peer, uri)
    return results.Result(
        workload.name, workload.title, group.kind, operations, samples, peaks, skipped
    )


def publish(found, settings, options):
    print(f"Server {settings['server']}, {settings['data']}, {options.rounds} rounds.", end=" ")
    print("A ratio is the median of the rounds' ratios; above 1x the reference is better.\n")
    for doubt in report.doubts(settings):
        print(doubt, end="\n\n")
    print(report.ratio_table(found), "", report.time_table(found), sep="\n")
    print(*report.notes(found), sep="\n")
    if not options.gate:
        return 0
    verdicts = list(gate.judge(found))
    for verdict in verdicts:
        print("pass" if verdict.passed else "FAIL", verdict.text)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def primary(client):
    client.admin.command("ping")  # until a server is selected, the primary is not known
    return client.primary


def chosen_peers(names):
    """The peers that can be imported. ferromongo must be among them, unless left out by name."""
    chosen = []
    for peer in PEERS:
        if peer.name not in names:
            continue
        if reason := peer.absence():
            if peer.name == gate.SUBJECT:
                sys.exit(f"{peer.name} is absent ({reason}): build it, or leave it out of --peers")
            print(f"{peer.name} ({peer.kind}) is absent: {reason}", file=sys.stderr)
        else:
            chosen.append(peer)
    return chosen


def loop_factory(use_uvloop):
    if not use_uvloop:
        return None
    import uvloop

    return uvloop.new_event_loop


def arguments():
    names = list(dict.fromkeys(peer.name for peer in PEERS))
    by_name = {workload.name: workload for workload in WORKLOADS}
    parser = argparse.ArgumentParser(
        prog="python -m benches",
        description=f"{__doc__} Other commands, named first: {', '.join(COMMANDS)}.",
    )
    command_line.add_common(parser, by_name, LATEST)
    parser.add_argument("--peers", metavar="NAME,...", help=f"of {', '.join(names)}")
    parser.add_argument("--uvloop", action="store_true", help="run the async peers on uvloop")
    options = parser.parse_args()
    options.rounds = command_line.rounds(options)
    usual = [name for name in names if name != MOTOR_API]
    options.peers = command_line.split(parser, options.peers, names, usual)
    usual = [name for name, workload in by_name.items() if not workload.by_name_only]
    only = command_line.split(parser, options.only, by_name, usual)
    options.only = [by_name[name] for name in only]
    return options


if __name__ == "__main__":
    leave(main())
