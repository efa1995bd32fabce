"""`python -m ferromongo.embedded`: a replica set until Ctrl-C; it prints its URI first."""

import argparse
import signal
import sys

from ferromongo.embedded.binary import BinaryNotFound
from ferromongo.embedded.replica_set import ReplicaSet
from ferromongo.embedded.supervised import ServerFailed


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ferromongo.embedded", description="Run an ephemeral MongoDB replica set."
    )
    parser.add_argument("--members", type=int, default=1, choices=range(1, 8), metavar="N")
    parser.add_argument("--port", type=int, help="of the first member (default: free ports)")
    parser.add_argument("--auth", action="store_true", help="clients must authenticate")
    parser.add_argument("--tls", action="store_true", help="with certificates made on the spot")
    arguments = parser.parse_args()
    # Blocked from here on, then awaited: neither signal can be lost or leave a traceback.
    ending = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        with ReplicaSet(
            members=arguments.members,
            port=arguments.port,
            auth=arguments.auth,
            tls=arguments.tls,
        ) as replica_set:
            print(replica_set.uri, flush=True)
            print("Ctrl-C ends it and removes its data.", file=sys.stderr, flush=True)
            signal.sigwait(ending)
    except (BinaryNotFound, ServerFailed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
