"""Three of the libraries in tests/applications; `make applications` runs all of them."""

import pytest
from tests.applications.environments import python_of
from tests.applications.table import programs
from tests.applications.ways import FIRST, LATE, PLAIN, differences, run


@pytest.mark.timeout(600)  # the first one installs what the three need
@pytest.mark.parametrize("name", ["flask_pymongo", "limits", "umongo"])
def test_library_does_the_same_on_ferromongo(name: str, mongodb_uri: str) -> None:
    program = programs()[name]
    python = python_of(program)
    plain = run(program, PLAIN, python, mongodb_uri)
    assert "(ended with" not in plain.said, plain.said + plain.complaints
    assert plain.drivers == {"PyMongo"}
    for way, expected in ((FIRST, program.first), (LATE, program.late)):
        outcome = run(program, way, python, mongodb_uri)
        found = differences(plain, outcome)
        assert bool(found) == bool(expected), f"{way}: {found}\n{outcome.complaints}"
