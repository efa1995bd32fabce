"""Runs one test of a file: prepares, does its operations, looks at events and at the outcome."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from tests.drivers import patient
from tests.spec.unified import operations, runner_operations
from tests.spec.unified.entities import Entities
from tests.spec.unified.errors import check_error
from tests.spec.unified.events import check_events
from tests.spec.unified.log_messages import LogMessages, check_log_messages
from tests.spec.unified.match import Matcher, Mismatch, Unsupported, check
from tests.spec.unified.requirements import SCHEMA_VERSION, Deployment, numbers


class Runner:
    def __init__(self, driver: Any, deployment: Deployment) -> None:
        self.driver = driver
        self.deployment = deployment
        self.entities = Entities(driver, deployment)
        self.matcher = Matcher(self.entities)
        self.fail_points: set[str] = set()

    async def run(self, file: dict[str, Any], test: dict[str, Any]) -> None:
        check_version(file["schemaVersion"])
        self._prepare(file)
        wants_logs = "expectLogMessages" in test
        with LogMessages() if wants_logs else contextlib.nullcontext() as messages:
            try:
                await self.entities.create(file.get("createEntities", []))
                for operation in test["operations"]:
                    await self.operation(operation)
                # What is compared is what came before the runner tidied up.
                await self._soon(lambda: self._check_events(test))
                if messages is not None:
                    await self._soon(lambda: self._check_log_messages(test, messages))
                self._check_outcome(test.get("outcome", []))
            finally:
                self._turn_fail_points_off()
                await self.entities.close()
                if "startTransaction" in str(file) or "withTransaction" in str(file):
                    self._end_transactions()

    async def operation(self, given: dict[str, Any], *, within_callback: bool = False) -> None:
        name, target, arguments = given["name"], given["object"], given.get("arguments", {})
        if target == "testRunner":
            await runner_operations.run(self, name, arguments)
            return
        entity, kind = self.entities[target], self.entities.kind(target)
        expected = given.get("expectError")
        if name == "endSession":
            self.entities.ends(target)
        try:
            result = await operations.run(self, kind, name, entity, arguments)
        except (KeyError, Unsupported, AssertionError):
            raise
        except Exception as error:
            not_yet(error)
            if not given.get("ignoreResultAndError"):
                if expected is None:
                    raise
                check_error(expected, error, self.matcher)
            if within_callback:
                raise  # with_transaction is to see it too
            return
        if given.get("ignoreResultAndError"):
            return
        check(expected is None, name, f"did not fail, it answered {result!r}")
        if "expectResult" in given:
            self.matcher.match(given["expectResult"], result, where=f"the result of {name}")
        if (entity_name := given.get("saveResultAsEntity")) is not None:
            self.entities.add(entity_name, SAVED.get(name, "result"), result)

    def _prepare(self, file: dict[str, Any]) -> None:
        # Who has the last write has those before it too. A snapshot shows what is journaled.
        snapshot = "'snapshot'" in str(file.get("createEntities"))
        everywhere = WriteConcern(w=len(self.deployment.members), j=snapshot or None)
        for data in file.get("initialData", []):
            by_one = self.deployment.client.get_database(data["databaseName"], write_concern=ONE)
            by_all = by_one.with_options(write_concern=everywhere)
            name, documents = data["collectionName"], data["documents"]
            by_one[name].drop()
            created = data.get("createOptions", {})
            if created or not documents:
                database = by_one if documents else by_all
                database.create_collection(name, check_exists=False, **created)
            if documents:
                by_all[name].insert_many([dict(document) for document in documents])

    async def _soon(self, check_all: Callable[[], None]) -> None:
        """Events that come while another thread is telling others are told a little later."""
        deadline = time.monotonic() + patient(5)
        while True:
            try:
                return check_all()
            except Mismatch:
                if time.monotonic() > deadline:
                    raise
                await self.driver.sleep(0.02)

    def _check_events(self, test: dict[str, Any]) -> None:
        for expected in test.get("expectEvents", []):
            check_events(expected, self.entities.observers[expected["client"]], self.matcher)

    def _check_log_messages(self, test: dict[str, Any], messages: LogMessages) -> None:
        for expected in test["expectLogMessages"]:
            name = expected["client"]
            observer = self.entities.observers[name]
            actual = messages.of(observer.topology_id, self.entities.components[name])
            check_log_messages(expected, actual, self.matcher)

    def _check_outcome(self, outcome: list[dict[str, Any]]) -> None:
        for expected in outcome:
            database = self.deployment.client[expected["databaseName"]]
            collection = database.get_collection(
                expected["collectionName"],
                codec_options=CodecOptions(),
                read_concern=ReadConcern("local"),
            )
            found = collection.find().sort("_id").to_list()
            where = f"documents of {collection.full_name}"
            self.matcher.match(expected["documents"], found, root=False, where=where)

    def _turn_fail_points_off(self) -> None:
        for member in self.deployment.members:
            for name in self.fail_points:
                member.admin.command({"configureFailPoint": name, "mode": "off"})

    def _end_transactions(self) -> None:
        """What a test left open would hold its locks against the next."""
        client: MongoClient[dict[str, Any]] = self.deployment.client
        try:
            client.admin.command({"killAllSessions": []})
        except OperationFailure as error:
            if error.code != INTERRUPTED:  # it may kill itself
                raise


def check_version(version: str) -> None:
    wanted = numbers(version)
    if wanted[0] != SCHEMA_VERSION[0] or wanted > (*SCHEMA_VERSION, 99):
        raise Unsupported(f"schema version {version}")


def not_yet(error: Exception) -> None:
    if isinstance(error, NotImplementedError) and "does not have" in str(error):
        raise Unsupported(str(error).replace("does not have", "has no")) from error


# What an operation makes that has operations of its own.
SAVED = {
    "createCollection": "collection",
    "createChangeStream": "cursor",
    "createCommandCursor": "cursor",
    "createFindCursor": "cursor",
}
INTERRUPTED = 11601
ONE = WriteConcern(w=1)
