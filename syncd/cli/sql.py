"""`syncd sql`: statements on the node's database, as a clerk's program would run them.

Enters: a statement or a file of statements. Leaves: rows as a table, JSON or CSV; or how many rows were changed. Must
hold: writes are captured and guarded as any client's; all statements of one call are one transaction, kept whole or
not at all; structure and syncd's own tables are not changed; what the guard says reaches the person unchanged, in one
language.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd import limits
from syncd.cli.output import cell, emit, emit_json, table
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, number, say

if TYPE_CHECKING:
    from syncd.config import Config

FETCH_ROWS = 5_000
READS = ("select", "with", "values", "explain")
BYTE_ORDER_MARK = "\ufeff"  # what makes Excel read a CSV as UTF-8


@verb(
    Both(
        "Chạy câu lệnh SQL trên cơ sở dữ liệu của máy (kể cả khi đã mã hóa).\n\nThay đổi được ghi nhận và kiểm tra "
        "như của mọi chương "
        "trình khác; cả lần gọi là một giao dịch.",
        "Run SQL on the node's database (also an encrypted one).\n\nWrites are captured and guarded like any other "
        "program's; one call "
        "is one transaction.",
    ),
    "syncd sql 'SELECT number, hamlet FROM household LIMIT 5'",
    "syncd sql --csv 'SELECT * FROM person' > person.csv",
    "syncd sql --file thang11.sql",
)
@click.argument("statement", required=False)
@option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="F",
    vi="Đọc các câu lệnh từ tệp (- là đầu vào chuẩn).",
    en="Read the statements from a file (- is standard input).",
)
@option("--csv", "as_csv", is_flag=True, vi="In CSV.", en="Print CSV.")
@option("--bom", is_flag=True, vi="CSV cho Excel (có dấu BOM).", en="CSV that Excel reads as UTF-8 (with a BOM).")
@option(
    "--raw",
    is_flag=True,
    vi="In chữ nguyên như trong cơ sở dữ liệu: không thoát ký tự điều khiển, không chặn công thức.",
    en="Print texts as the database has them: control characters and formulas are not made harmless.",
)
@directory_option
@json_option
def command(
    statement: str | None, file: Path | None, as_csv: bool, bom: bool, raw: bool, directory: Path | None, as_json: bool
) -> None:
    from syncd.cli.place import config_of, node_directory
    from syncd.cli.sql_refused import refuse_script

    script = _script(statement, file)
    where = node_directory(directory)
    config = config_of(where)
    refuse_script(script)
    if as_json:
        form = _json
    elif as_csv or bom:
        form = partial(_csv, bom=bom, raw=raw)
    else:
        form = partial(_table, raw=raw)
    if config.is_sqlite:
        _run_sqlite(where, config, script, form)
    else:
        _run_postgres(config, script, form)


def _script(statement: str | None, file: Path | None) -> str:
    if (statement is None) == (file is None):
        raise click.UsageError(
            say("nêu một câu lệnh hoặc --file, không cả hai", "give a statement or --file, not both")
        )
    if file is None:
        return statement or ""
    from syncd.cli.texts import read_text

    return read_text(file, limits.SCRIPT_BYTES_MAX)


# --- SQLite ----------------------------------------------------------------------------------------------------------


def _run_sqlite(directory: Path, config: Config, script: str, form: Any) -> None:
    from sqlcipher3 import dbapi2 as sqlite

    from syncd.cli.place import database_file, database_key
    from syncd.cli.sql_refused import Authorizer
    from syncd.store.sqlite import begin, connect, translate
    from syncd.store.sqlite_errors import is_of_statement

    path = database_file(directory)
    connection = connect(path, database_key(directory, config))
    authorizer = Authorizer()
    try:
        statements = list(_statements(script))
        own_transaction = _begins_itself(statements) or (len(statements) == 1 and _word(statements[0]) == "pragma")
        if not own_transaction:
            begin(connection, str(path), is_writing=not all(_word(each) in READS for each in statements))
        connection.set_authorizer(authorizer)
        changed, each = 0, ""
        for each in statements:
            cursor = connection.execute(each)
            if cursor.description is not None:
                form([column[0] for column in cursor.description], _fetched(cursor))
            else:
                changed += max(0, cursor.rowcount)
        if connection.in_transaction:
            connection.execute("COMMIT")
    except sqlite.DatabaseError as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise (
            authorizer.refused
            or _refused(connection, str(error), each)
            or _plain_sql(str(error) if is_of_statement(error) else "", translate(error, str(path)))
        ) from error
    finally:
        connection.close()
    _say_changed(changed, statements, form)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; a semicolon inside a text or a trigger ends none."""
    import sqlite3

    pending = ""
    for piece in script.replace("\r\n", "\n").split(";"):
        pending += piece + ";"
        if sqlite3.complete_statement(pending):
            if pending.strip("; \t\n"):
                yield pending.strip()
            pending = ""
    if pending.strip("; \t\n"):
        yield pending.strip().removesuffix(";")


def _word(statement: str) -> str:
    """The first word, comments passed over."""
    lines = [line for line in statement.splitlines() if line.strip() and not line.lstrip().startswith("--")]
    return (lines[0].split() or [""])[0].lower().rstrip(";") if lines else ""


def _begins_itself(statements: list[str]) -> bool:
    return bool(statements) and _word(statements[0]) in ("begin", "savepoint")


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


def _run_postgres(config: Config, script: str, form: Any) -> None:
    import psycopg

    from syncd.store.patience import again
    from syncd.store.postgres import begin_patiently, connect
    from syncd.store.postgres_errors import translate

    connection = connect(config.database)

    def run() -> int:
        """How many rows were changed. Nothing is shown before the server has done all statements."""
        changed = 0
        with begin_patiently(connection, config.database), connection.transaction(), connection.cursor() as cursor:
            try:
                cursor.execute(script.encode())
            except psycopg.errors.TransactionRollback as error:  # a deadlock: nothing of it was done
                raise translate(error) from error
            while True:
                if cursor.description is not None:
                    form([column.name for column in cursor.description], _fetched(cursor))
                else:
                    changed += max(0, cursor.rowcount)
                if not cursor.nextset():
                    break
        return changed

    try:
        changed = again(run)
    except psycopg.Error as error:
        text = error.diag.message_primary or str(error)
        raise _refused(connection, text, script) or _plain_sql(text, translate(error)) from error
    finally:
        connection.close()
    _say_changed(changed, [script], form)


# --- results ---------------------------------------------------------------------------------------------------------


def _fetched(cursor: Any) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(FETCH_ROWS):
        yield from rows


def _table(names: list[str], rows: Iterator[tuple[Any, ...]], *, raw: bool) -> None:
    from syncd.limits import SQL_ROWS_MAX

    kept: list[list[str]] = []
    right = set(range(len(names)))
    for row in rows:
        if len(kept) == SQL_ROWS_MAX:
            emit(
                say(
                    "… chỉ in {n} dòng đầu; dùng --csv",
                    "… only the first {n} rows are printed; use --csv",
                    n=number(SQL_ROWS_MAX),
                )
            )
            break
        right -= {place for place, value in enumerate(row) if not isinstance(value, int | float | None)}
        kept.append([cell(value, raw=raw) for value in row])
    emit(table([cell(name, raw=raw) for name in names], kept, sorted(right)), raw=raw)


def _json(names: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    emit_json([dict(zip(names, row, strict=True)) for row in rows])


def _csv(names: list[str], rows: Iterator[tuple[Any, ...]], *, bom: bool, raw: bool) -> None:
    import csv

    if bom:
        sys.stdout.write(BYTE_ORDER_MARK)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    shown = partial(cell, raw=True) if raw else _csv_cell
    writer.writerow([shown(name) for name in names])
    writer.writerows([shown(value) for value in row] for row in rows)


def _csv_cell(value: Any) -> str:
    """Texts that a spreadsheet would calculate are marked as texts; a number stays a number."""
    from syncd.text.escaped import for_spreadsheet

    return for_spreadsheet(cell(value)) if isinstance(value, str) else cell(value)


def _say_changed(changed: int, statements: list[str], form: Any) -> None:
    if all(_word(each) in (*READS, "pragma") for each in statements):
        return
    if form is _json:
        emit_json({"rows_changed": changed})
    elif getattr(form, "func", None) is _table:
        emit(say("{n} dòng đã ghi.", "{n} rows written.", n=number(changed)))


def _refused(connection: Any, text: str, statement: str) -> Exception | None:
    """What the guard said, with the unit's code and name from this very database and the command to type."""
    from syncd.cli.sql_refused import refusal, refused_unit

    unit_id = refused_unit(text)
    row = connection.execute(f"SELECT code, name FROM unit WHERE id = '{unit_id}'").fetchone() if unit_id else None
    return refusal(text, statement, row)


def _plain_sql(text: str, translated: Exception) -> Exception:
    """A statement that the database refused is the writer's affair: no advice about backups. `text`: what it said of
    the statement, empty where the statement is not to blame.
    """
    from syncd.errors import RuleBroken, StoreError

    if not text or not isinstance(translated, StoreError) or isinstance(translated, RuleBroken):
        return translated
    return StoreError(
        text,
        say(
            "không có gì được ghi; sửa câu lệnh rồi chạy lại",
            "nothing was written; correct the statement and run it again",
        ),
    )
