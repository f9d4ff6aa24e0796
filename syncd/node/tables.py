"""The tables that a deployment adds: found beside the node's settings, examined, and only then believed.

Enters: `module:TABLES` as the settings have it, the node's directory. Leaves: descriptions that every stage can work
with, or one error that says each fault in a sentence.
Must hold: whatever Python a module holds, a verb ends with words, never with a traceback; which directory a program was
started in makes no difference.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from schema.spec import Registry, Table
from schema.tables import registry
from syncd.errors import ConfigError
from syncd.language import say
from syncd.node.faults import faults

FAULTS_SHOWN_MAX = 20
ERROR_CHARS_MAX = 300  # of what a module raises


def load_tables(setting: str, directory: Path) -> Registry:
    """The tables of the release and those that `setting` names. Raises ConfigError."""
    if not setting:
        return registry()
    try:
        tables = _tables_in(setting, directory)
        found = faults(tables)
    except ConfigError:
        raise
    except Exception as error:  # objects of theirs that raise when they are looked at
        raise _raised(setting, setting.partition(":")[0], directory, error) from error
    if found:
        shown = [f"{place}. {text}" for place, text in enumerate(found[:FAULTS_SHOWN_MAX], start=1)]
        more = len(found) - len(shown)
        raise ConfigError(
            say(
                "extra_tables = {setting!r} có {n} lỗi:\n{faults}",
                "extra_tables = {setting!r} has {n} faults:\n{faults}",
                setting=setting,
                n=len(found),
                faults="\n".join([*shown, "…"] if more else shown),
            ),
            say(
                "sửa mô-đun đó, rồi chạy: [[syncd config check]]",
                "correct the module, then run: [[syncd config check]]",
            ),
        )
    return registry(tables)


def _tables_in(setting: str, directory: Path) -> tuple[Table, ...]:
    """What the module holds under that name, whatever it is, as a tuple."""
    module_name, colon, attribute = setting.partition(":")
    if not colon or not attribute.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise _unreadable(setting, directory, say("đây không phải mô-đun:TÊN", "this is not module:NAME"))
    module = _module(setting, module_name, directory)
    if not hasattr(module, attribute):
        raise _unreadable(
            setting,
            directory,
            say(
                "mô-đun {module} ({file}) không có {name}",
                "module {module} ({file}) has no {name}",
                module=module_name,
                file=getattr(module, "__file__", ""),
                name=attribute,
            ),
        )
    tables = getattr(module, attribute)
    if not isinstance(tables, (tuple, list)):
        raise _unreadable(
            setting,
            directory,
            say(
                "{name} là {kind}, không phải một bộ (tuple) schema.spec.Table",
                "{name} is a {kind}, not a tuple of schema.spec.Table",
                name=attribute,
                kind=type(tables).__name__,
            ),
        )
    return tuple(tables)


def _module(setting: str, name: str, directory: Path) -> ModuleType:
    """The module, from the node's directory before anywhere else."""
    top = name.partition(".")[0]
    is_here = _is_in(directory, top)
    is_installed = _is_installed(top)
    if is_here and is_installed:
        raise _unreadable(
            setting,
            directory,
            say(
                "{name} là tên một mô-đun của Python, của syncd hoặc của thư viện đã cài; hãy đặt tên khác cho tệp",
                "{name} is the name of a module of Python's, of syncd's or of an installed library; give the file "
                "another name",
                name=top,
            ),
        )
    try:
        # A command's result goes to stdout; whatever a module prints is no part of it.
        with _searched_first(directory, None if is_installed else top), redirect_stdout(sys.stderr):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise _unreadable(
                setting,
                directory,
                say(
                    "không tìm thấy mô-đun {module}, cả trong {directory}",
                    "module {module} is not found, nor in {directory}",
                    module=name,
                    directory=directory,
                ),
            ) from error
        raise _raised(setting, name, directory, error) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a module does when it is read: said as a fault of the settings
        raise _raised(setting, name, directory, error) from error


def _is_in(directory: Path, top: str) -> bool:
    try:
        return (directory / f"{top}.py").exists() or (directory / top).is_dir()
    except OSError:  # a name that no file can have
        return False


def _is_installed(top: str) -> bool:
    """Whether the program itself may import something of that name, now or later: a file beside the settings in its
    place would break what has nothing to do with tables."""
    if top in sys.stdlib_module_names or top in ("syncd", "schema", "conflict"):
        return True
    installed = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    return importlib.machinery.PathFinder.find_spec(top, installed) is not None


@contextmanager
def _searched_first(directory: Path, top: str | None) -> Iterator[None]:
    """Look for modules in the node's directory first, and never where this program happens to have been started. What
    an earlier node of this process had under that name is forgotten."""
    here = str(directory.resolve())
    known, writes = list(sys.path), sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # the directory belongs to the node
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    elsewhere = {"", here, *({os.getcwd()} - set(named))}
    sys.path[:] = [here, *(place for place in known if place not in elsewhere)]
    for each in [each for each in sys.modules if top is not None and (each == top or each.startswith(f"{top}."))]:
        del sys.modules[each]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = known, writes


def _raised(setting: str, name: str, directory: Path, error: BaseException) -> ConfigError:
    """What the module raised, and where."""
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    place: Any = places[-1] if places else None
    if isinstance(error, SyntaxError) and error.filename:
        line = f"{error.filename}:{error.lineno}"
    else:
        of_theirs = [frame for frame in places if not frame.filename.startswith(str(Path(__file__).parents[2]))]
        place = of_theirs[-1] if of_theirs else place
        line = f"{place.filename}:{place.lineno}" if place else name
    return _unreadable(
        setting,
        directory,
        say(
            "mô-đun {module} không đọc được: {kind}: {error} ({line})",
            "module {module} cannot be read: {kind}: {error} ({line})",
            module=name,
            kind=type(error).__name__,
            error=_words(error),
            line=line,
        ),
    )


def _words(error: BaseException) -> str:
    """What an exception says of itself, where it can."""
    try:
        text = str(error)
    except Exception:
        return ""
    return text if len(text) <= ERROR_CHARS_MAX else f"{text[:ERROR_CHARS_MAX]}…"


def _unreadable(setting: str, directory: Path, why: str) -> ConfigError:
    return ConfigError(
        say(
            "không đọc được extra_tables = {setting!r}: {why}",
            "extra_tables = {setting!r} cannot be read: {why}",
            setting=setting,
            why=why,
        ),
        say(
            'extra_tables có dạng "mô-đun:TABLES": một bộ schema.spec.Table trong tệp mô-đun.py đặt ở {directory}',
            'extra_tables is "module:TABLES": a tuple of schema.spec.Table in a file module.py in {directory}',
            directory=directory,
        ),
    )
