"""Where the benchmarks' server comes from, and the URIs its clients use."""

import os
import re
from contextlib import contextmanager


@contextmanager
def deployment(tls=False):
    """The URI of FERROMONGO_TEST_URI's server, else of a fresh one-member replica set.

    With TLS it is always a fresh one.
    """
    if (uri := os.environ.get("FERROMONGO_TEST_URI")) and not tls:
        yield uri
        return
    from ferromongo.embedded import ReplicaSet

    with ReplicaSet(members=1, tls=tls) as replica_set:
        yield replica_set.uri


def quiet(uri):
    """Heartbeats so rare that an idle peer's monitors cost the measured one no CPU."""
    return with_options(uri, heartbeatFrequencyMS=600_000)


def through(uri, address):
    """`uri` with its hosts replaced by a proxy's: direct, or discovery would go around it."""
    host, port = address
    proxied = re.sub(r"^(mongodb://(?:[^@/]*@)?)[^/?]+", rf"\g<1>{host}:{port}", uri)
    if proxied == uri:
        raise ValueError("a delay proxy needs a mongodb:// URI")
    return with_options(proxied, directConnection="true")


def with_options(uri, **options):
    if "/" not in uri.split("://", 1)[1]:
        uri += "/"
    separator = "&" if "?" in uri else "?"
    return uri + separator + "&".join(f"{key}={value}" for key, value in options.items())
