"""Whether the server at hand is one that a file, or a test of it, is meant for."""

import functools
from typing import Any

from pymongo import MongoClient
from tests.spec.unified.match import Matcher, Mismatch

SCHEMA_VERSION = (1, 28)


class Deployment:
    """The replica set that the tests run on, and how the runner itself talks to it.

    That is PyMongo, on both APIs: what prepares a test and looks at its outcome is not what the
    test is about.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.client = MongoClient[dict[str, Any]](uri)
        self.hello = self.client.admin.command("hello")
        self.version = tuple(self.client.server_info()["versionArray"][:3])
        self.parameters = self.client.admin.command({"getParameter": "*"})
        self.members = [self._direct(*address) for address in sorted(self.client.nodes)]

    def _direct(self, host: str, port: int) -> MongoClient[dict[str, Any]]:
        # Looks at its member once: fail points on hello must not keep it out.
        return MongoClient(
            host,
            port,
            directConnection=True,
            serverMonitoringMode="poll",
            heartbeatFrequencyMS=3_600_000,
        )

    def close(self) -> None:
        for client in (self.client, *self.members):
            client.close()

    @property
    def primary_uri(self) -> str:
        """One server of it, for clients with directConnection."""
        primary = self.client.primary
        assert primary is not None
        return f"mongodb://{primary[0]}:{primary[1]}"

    @functools.cached_property
    def topology(self) -> str:
        if self.hello.get("msg") == "isdbgrid":
            return "sharded"
        return "replicaset" if "setName" in self.hello else "single"

    @functools.cached_property
    def has_auth(self) -> bool:
        return bool(self.client.options.pool_options._credentials)

    def why_not(self, requirements: list[dict[str, Any]]) -> str | None:
        """None if one of them is met, else what the first lacks."""
        reasons = [self._unmet(requirement) for requirement in requirements]
        return None if not reasons or None in reasons else reasons[0]

    def _unmet(self, requirement: dict[str, Any]) -> str | None:
        for key, value in requirement.items():
            if not self._has(key, value):
                return f"needs {key}: {value}"
        return None

    def _has(self, key: str, value: Any) -> bool:
        match key:
            case "minServerVersion":
                return self.version >= numbers(value)
            case "maxServerVersion":
                return self.version[: len(numbers(value))] <= numbers(value)
            case "topologies":
                return self.topology in value
            case "serverless":
                return bool(value != "require")
            case "serverParameters":
                return self._has_parameters(value)
            case "auth":
                return self.has_auth is value
            case "authMechanism":
                return value in self.parameters["authenticationMechanisms"]
            case "csfle":
                return value is False  # automatic encryption is not built
        raise ValueError(f"unknown requirement {key}")

    def _has_parameters(self, expected: dict[str, Any]) -> bool:
        try:
            Matcher({}).match(expected, self.parameters)
        except Mismatch:
            return False
        return True


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
