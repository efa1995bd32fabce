"""Replies to hello that are small and cost much, met by processes of their own."""

import pytest
from tests.drivers import ferromongo_only
from tests.fault.programs import run
from tests.fault.programs.hostile_hellos import HELLOS

pytestmark = ferromongo_only  # PyMongo fails some of it, in threads of its monitors


@pytest.mark.parametrize("hello", HELLOS)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_operation_connection_survives_a_hostile_hello(kind, hello):
    answer = run("hostile_hellos", kind, "operations", hello)
    assert answer["answered"] > 0
    assert answer["grown"] < 150, "MB"


@pytest.mark.xfail(
    strict=True, reason="the mongodb crate's monitors; ours come with a later change"
)
@pytest.mark.parametrize("hello", HELLOS)
def test_a_monitor_survives_a_hostile_hello(hello):
    answer = run("hostile_hellos", "sync", "monitors", hello)
    assert answer["answered"] > 0
    assert answer["grown"] < 150, "MB"
