"""`_core.pyi` says what the built module has: mypy's stubtest compares the two."""

import subprocess
import sys

# What every generic or subclassable extension class has and stubs do not spell out.
ALLOWED = r"""
ferromongo\._core\.\w+\.__class_getitem__
ferromongo\._core\.ChangeStreamBase
ferromongo\._core\.CursorBase
ferromongo\._core\.__all__
"""


def test_the_stub_matches_the_module(tmp_path):
    allowed = tmp_path / "allowed"
    allowed.write_text(ALLOWED)
    command = [sys.executable, "-m", "mypy.stubtest", "ferromongo._core"]
    done = subprocess.run(
        [*command, "--allowlist", allowed, "--ignore-unused-allowlist"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
