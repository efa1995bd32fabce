"""What can go wrong between a client and its replica set while transactions run.

Each misfortune is a function that makes it happen and returns when it is over, with the number of
times it struck. All of them block. Servers may fail here, but not lie: none says that there is no
transaction where there is one.
"""

import contextlib
import os
import random
import socket
import stat
import time

import pymongo


class Misfortunes:
    def __init__(self, replica_set, application):
        self._replica_set = replica_set
        self._application = application
        lost_primary = {"code": 91, "errmsg": "the primary shuts down"}
        too_late = {"code": 64, "errmsg": "the majority is slow"}
        at_commit = ("commitTransaction",)
        self.kinds = {
            "the primary is killed": self._kill,
            "the primary steps down": self._step_down,
            "all lines are cut": self._cut_lines,
            "transactions are aborted": self._abort,
            "cut before a statement": self._failing("update", "insert", closeConnection=True),
            "cut before the commit": self._failing(*at_commit, closeConnection=True),
            "the commit meets no primary": self._failing(*at_commit, errorCode=10107),
            "the commit is interrupted": self._failing(*at_commit, errorCode=11602),
            "the commit runs out of time": self._failing(*at_commit, errorCode=50),
            "committed, and the primary shuts down": self._failing(
                *at_commit, writeConcernError=lost_primary
            ),
            "committed, and not yet safe": self._failing(*at_commit, writeConcernError=too_late),
            # Longer than some callers wait: it is done when they have been told that nobody knows.
            "the commit is late": self._failing(*at_commit, block=3.2),
        }

    def _kill(self):
        old = self._replica_set.primary
        self._replica_set.kill(old)
        new = self._replica_set.primary
        self._replica_set.recover()
        return int(new.index != old.index)

    def _step_down(self):
        old = self._replica_set.primary
        return int(self._replica_set.step_down().index != old.index)

    def _abort(self):
        """Whatever runs is interrupted, commits that wait for a majority too."""
        with pymongo.MongoClient(self._replica_set.primary.uri) as client:

            def aborted():
                return client.admin.command("serverStatus")["transactions"]["totalAborted"]

            before = aborted()
            for _ in range(5):
                time.sleep(random.random() * 0.1)
                client.admin.command("killAllSessions", [])
            return aborted() - before

    def _cut_lines(self):
        """Whatever was under way is done by the server, and nobody hears of it."""
        count = 0
        for _ in range(5):
            time.sleep(random.random() * 0.1)
            count += cut_connections({member.port for member in self._replica_set.members})
        return count

    def _failing(self, *commands, **how):
        how = {"failCommands": commands, "appName": self._application, "times": 4, **how}

        def fail():
            with (
                self._replica_set.failpoint(**how) as fault,
                contextlib.suppress(TimeoutError),  # nobody is there any more: the test will say
            ):
                fault.wait(how["times"], timeout=30)
            return fault.hits

        return fail


def cut_connections(ports):
    """Ends this process's connections to servers at those ports, in both directions at once."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile, or not connected
            if not stat.S_ISSOCK(os.stat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as connection:
                if connection.family == socket.AF_INET and connection.getpeername()[1] in ports:
                    connection.shutdown(socket.SHUT_RDWR)
                    count += 1
    return count
