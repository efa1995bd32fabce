"""A real MongoDB replica set for as long as a test, a demo or an experiment needs it.

    from ferromongo.embedded import ReplicaSet

    with ReplicaSet(members=3) as replica_set:
        client = ferromongo.MongoClient(replica_set.uri)

`python -m ferromongo.embedded` runs one from the shell; the pytest plugin gives it to tests.
"""

from ferromongo.embedded.binary import BinaryNotFound, find_mongod
from ferromongo.embedded.certificates import Certificates
from ferromongo.embedded.fail_point import FailCommand, FailPoint
from ferromongo.embedded.replica_set import Member, ReplicaSet
from ferromongo.embedded.supervised import ServerFailed

__all__ = [
    "BinaryNotFound",
    "Certificates",
    "FailCommand",
    "FailPoint",
    "Member",
    "ReplicaSet",
    "ServerFailed",
    "find_mongod",
]
