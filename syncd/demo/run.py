"""The demo from beginning to end.

Enters: where to keep the tree (or nothing), whether to sabotage, whether a JSON document ends it. Leaves: an exit
code: 0 when every tier is proven equal, else 1 with the reason. Must hold: every daemon is ended and every temporary
file gone on every way out, Ctrl-C and TERM included.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from syncd.cli.output import BOLD, emit, emit_json, paint
from syncd.demo import proof, steps, wishes
from syncd.demo.proof import Proof
from syncd.demo.story import Story
from syncd.demo.tree import CUT_CODE, DemoTree
from syncd.errors import SyncdError, UsageError
from syncd.language import decimal, say
from syncd.text.command import at

TERMINATED = 143  # as a shell reports SIGTERM


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """As typed. `keep`: a folder that stays, ready to run."""

    keep: Path | None
    with_sabotage: bool
    as_json: bool


def run_demo(options: Options) -> int:
    """Run it; returns the exit code."""
    began = time.monotonic()
    story, found, error = Story(), None, None
    story.tell(
        paint(
            say(
                "syncd demo — dữ liệu giả lập, tên đơn vị thật (Hà Tĩnh, trước tháng 7/2025)",
                "syncd demo — generated people, real names of units (Hà Tĩnh, before July 2025)",
            ),
            BOLD,
        )
    )
    with _folder(options.keep) as folder, _terminable():
        tree = DemoTree(folder)
        try:
            found = _play(tree, story, options.with_sabotage)
        except SyncdError as failure:
            error = str(failure)
            story.bad(error)
        finally:
            tree.stop_all()
            tree.close()
        if options.keep is not None:
            _leave(tree, folder, story)
    took_s = time.monotonic() - began
    _end(story, found, took_s)
    if options.as_json:
        emit_json(proof.document(found, took_s, error), indent=None)
    return 0 if found is not None and found.converged else 1


def _play(tree: DemoTree, story: Story, with_sabotage: bool) -> Proof:
    steps.introduce(tree, story)
    steps.load(tree, story)
    steps.edit(tree, story)
    steps.cut_off(tree, story)
    wishes.accepted(tree, story)
    wishes.disagree(tree, story)
    wishes.verified(tree, story)
    if with_sabotage:
        proof.sabotage(tree, story)
    return proof.prove_all(tree, story)


def _end(story: Story, found: Proof | None, took_s: float) -> None:
    if found is not None and found.converged:
        story.tell("\n" + say("Xong trong {s} giây. Mã thoát 0.", "Done in {s} s. Exit 0.", s=decimal(took_s)))
    else:
        story.tell("\n" + say("Không khớp; lý do ở trên. Mã thoát 1.", "Not equal; the reason stands above. Exit 1."))


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """The folder of the tree: the one to keep, or a temporary one."""
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise UsageError(
                say("thư mục {folder} không trống", "the folder {folder} is not empty", folder=keep),
                say("nêu một thư mục mới cho --keep", "name a new folder for --keep"),
            )
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="syncd-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """TERM ends the demo like Ctrl-C does: through the clean-up."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _leave(tree: DemoTree, folder: Path, story: Story) -> None:
    """The tree stays: the cut district gets the province's own address, and the next commands are printed."""
    from msgspec.structs import replace

    from syncd.config import load_config, write_config

    cut = next((node for node in tree.nodes if node.code == CUT_CODE), None)
    if cut is not None:
        address = f"https://127.0.0.1:{tree.province.port}"
        write_config(cut.directory, replace(load_config(cut.directory, {}), parent_urls=[address]))
    emit(
        "\n"
        + say(
            "Cây còn trong {folder}. Các lệnh tiếp theo:", "The tree stays in {folder}. Next commands:", folder=folder
        )
    )
    for node in tree.nodes:
        emit(f"  {at(node.directory, 'syncd run')} &   # {node.name}")
    for command in ("status", "conflicts list", "verify --full", "figures"):
        emit(f"  {at(tree.nodes[min(1, len(tree.nodes) - 1)].directory, f'syncd {command}')}")
    story.tell("")
