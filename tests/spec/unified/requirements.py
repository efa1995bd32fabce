"""Whether the server at hand is one that a file, or a test of it, is meant for."""

import functools
from typing import Any

from pymongo import MongoClient
from pymongo.uri_parser import parse_uri
from tests.spec.unified.match import Matcher, Mismatch

SCHEMA_VERSION = (1, 28)


class Deployment:
    """What tests run on, and how the runner itself talks to it.

    That is PyMongo, on both APIs: what prepares a test and looks at its outcome is not what the
    test is about.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        parsed = parse_uri(uri)
        self._user = {key: parsed[key] for key in ("username", "password") if parsed[key]}
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
            **self._user,
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
        user = "{username}:{password}@".format(**self._user) if self._user else ""
        return f"mongodb://{user}{primary[0]}:{primary[1]}"

    @functools.cached_property
    def topology(self) -> str:
        if self.hello.get("msg") == "isdbgrid":
            return "sharded"
        return "replicaset" if "setName" in self.hello else "single"

    def why_not(self, *lists: list[dict[str, Any]]) -> str | None:
        """None if one requirement of each list is met, else what the first lacks."""
        for requirements in lists:
            reasons = [self._unmet(requirement) for requirement in requirements]
            if reasons and None not in reasons:
                return reasons[0]
        return None

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
                return bool(self._user) is value
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
