"""Fixtures of the tests of transaction logs."""

import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "transactions.log"
