"""A fork in the middle of an operation: the parent continues, the child gets an error."""

import pytest
from tests.drivers import ferromongo_only
from tests.fault.programs import run

pytestmark = ferromongo_only  # PyMongo's child reads the parent's answers from the shared socket

ALL = [0, 1, 2]
FORKED = "AutoReconnect: forked"

WAYS = {
    # parent, child
    "handler_read": [[ALL, 1.0], [FORKED, 1.0]],
    "handler_write": [[3, 3], [FORKED, 3], [1, 1, 1]],
    "handler_numbers": [[ALL, True], [FORKED, True]],
    "handler_load": [[ALL, 1.0], ['["AutoReconnect: forked", 1.0]']],
    "listener": [[ALL, 1.0], [FORKED, 1.0]],
    "selector": [[ALL, 1.0], [FORKED, 1.0]],
    "decoder": [[5, 1.0], [5, 1.0]],
    "coroutine": [[ALL] * 3, 1.0],
    "return_into_loop": [[ALL] * 3, [[FORKED] * 3, 1.0]],
    "async_listener": [ALL, [FORKED, 1.0]],
    "async_selector": [ALL, [FORKED, 1.0]],
}


@pytest.mark.parametrize("way", WAYS)
def test_a_fork_during_an_operation_ends_it_in_the_child_only(
    way, mongodb_uri, mongodb_database_name
):
    assert run("forked_midway", way, mongodb_uri, mongodb_database_name) == WAYS[way]
