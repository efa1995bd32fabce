"""examples/django_project: its own tests, in a database that Django makes, and its migrations."""

import os
import subprocess
import sys

import pytest
from tests.server.examples import EXAMPLES

# Processes of their own, which import much.
pytestmark = pytest.mark.timeout(400)

MIGRATE = """
import django
from django.core.management import call_command

django.setup()
call_command("check", "--fail-level", "WARNING")
call_command("makemigrations", "--check")
call_command("migrate")
"""


@pytest.fixture
def python(mongodb_uri, mongodb_database_name):
    environment = {
        **os.environ,
        "MONGODB_URI": mongodb_uri,
        "MONGODB_DATABASE": mongodb_database_name,
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
    }

    def python(*arguments):
        done = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=EXAMPLES / "django_project",
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return python


def test_the_project_passes_its_own_tests(python):
    said = python("manage.py", "test")
    assert "Ran 21 tests" in said
    assert "\nOK\n" in said


def test_migrations_are_complete_and_make_the_indexes(python, database):
    said = python("-c", MIGRATE)
    assert "No changes detected" in said
    assert "Applying shop.0001_initial... OK" in said
    keys = database.shop_product.index_information().values()
    assert {tuple(index["key"]): index.get("unique", False) for index in keys} == {
        (("_id", 1),): False,
        (("sku", 1),): True,
        (("price", 1),): False,
    }
