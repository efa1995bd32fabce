"""`python -m ferromongo run`: a program that imports PyMongo, run with ferromongo installed.

    python -m ferromongo run script.py arguments...
    python -m ferromongo run -m module arguments...

The program finds `sys.argv`, `sys.path` and `__main__` as if Python had been started with it.
"""

import builtins
import importlib.machinery
import io
import os
import pkgutil
import runpy
import sys
from types import ModuleType
from typing import NoReturn

import ferromongo

_USAGE = "usage: python -m ferromongo run [-m module | script | directory | zip file] [argument...]"


def main(arguments: list[str]) -> None:
    match arguments:
        case ["run", "-m", module, *rest]:
            sys.argv[:] = ["-m", *rest]  # its path takes the place of `-m`
            _prepare()
            runpy._run_module_as_main(module)  # type: ignore[attr-defined]
        case ["run", path, *rest] if not path.startswith("-"):
            sys.argv[:] = [path, *rest]
            _run_path(path)
        case ["-h" | "--help"] | ["run", "-h" | "--help"]:
            print(_USAGE)
        case _:
            _give_up(_USAGE)


def _run_path(path: str) -> None:
    if pkgutil.get_importer(path) is not None:  # a directory or zip file, with a `__main__` in it
        _replace_first_path(os.path.abspath(path))
        _prepare()
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
        return
    try:
        with io.open_code(os.path.abspath(path)) as file:
            source = file.read()
    except OSError as error:
        _give_up(f"{sys.executable}: can't open file {path!r}: {error.strerror}")
    _replace_first_path(os.path.dirname(os.path.realpath(path)))
    module = _prepare()
    file_name = os.path.abspath(path)
    module.__file__ = file_name
    module.__dict__["__cached__"] = None
    module.__loader__ = importlib.machinery.SourceFileLoader("__main__", file_name)
    exec(compile(source, file_name, "exec", dont_inherit=True), module.__dict__)


def _prepare() -> ModuleType:
    """The program's `__main__`, which has nothing of this file; it stays until Python ends."""
    ferromongo.install()
    module = ModuleType("__main__")
    vars(module).update(__builtins__=builtins, __annotations__={})
    sys.modules["__main__"] = module
    return module


def _replace_first_path(path: str) -> None:
    """What `-m` has put there is the working directory."""
    if not sys.flags.safe_path:
        sys.path[0] = path


def _give_up(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
