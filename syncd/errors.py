"""Every error the program raises on purpose. What enters: what happened, where, and what to do. What leaves: an exit
code.

    SyncdError                     1   something failed
    ├── UsageError                 2   the command line makes no sense
    ├── ConfigError               78   the configuration makes no sense
    │   ├── DatabaseUnusable           the node's database is missing, or what lies there is none that opens so
    │   └── KeyFileError          78   a key file is missing, damaged, readable by others, or another node's
    ├── PermissionDenied          77   the operating system or the tree does not allow it
    ├── NotCanonical               1   a value of this node is outside the canonical types; nothing was sealed
    ├── TemporaryError            75   worth another try later, by itself
    │   ├── ParentUnreachable
    │   ├── DatabaseUnreachable
    │   ├── DatabaseLocked
    │   ├── DiskFull
    │   ├── NotHereYet                 what is needed comes with the next exchange
    │   ├── Busy                       the parent answers another large question of this node
    │   ├── TooMany                    an address asks more often than anybody honest does
    │   └── AlreadyRunning             another process holds this node's lock
    ├── TrustError                77   whoever is there is not who it must be; a person has to look
    │   ├── WrongPeer                  a certificate or a name that is not the one expected
    │   ├── JoinRefused                a join request or reply whose parts do not belong together
    │   └── TokenError
    │       ├── TokenMalformed         a typing error, or no token at all
    │       ├── TokenExpired
    │       └── TokenUsed
    ├── FileRefused                1   a file to be read is not of the form it must have
    ├── StoreError                 1   the database refused a statement
    │   ├── RuleBroken                 a value breaks a rule of its table
    │   ├── UnfitTables                a table or column of ours is not there any more
    │   ├── IdTaken                    a row of this id is there already
    │   └── DatabaseReplaced           another program took the files away under this process: it ends
    ├── ForkError                  1   two writers of one stream
    ├── Unforeseen                 1   a failure that no code of ours foresaw; one duty stops, the rest goes on
    └── EnvelopeError              1   an envelope, or what it carries, is refused
        ├── Forked                     its keeper signed another one for the same place
        ├── Truncated
        ├── Altered
        ├── Replayed
        ├── Foreign                    signed by a node that does not keep the stream
        ├── Gap
        ├── TooLarge
        ├── SchemaNewer
        ├── TreeOlder                  written under a unit tree this node has not got yet
        ├── StreamBehind               it follows a stream that this node has not applied that far yet
        ├── BeyondTerm                 written after the keeper's term had ended
        ├── KeyMissing                 the key grant has not arrived
        ├── GrantUnreadable            a sealed key that our key does not open
        ├── Unsupported                a form this release does not apply
        └── Diverged                   it changes a row that is not here

Must hold: a message names what happened and where; the hint says what to do; neither carries a citizen's value or a
secret. What an operator meets is said in both languages (`syncd/language.py`); what is stored or sent is `english`.
"""

# ruff: noqa: N818 - an error is named for what happened (`Gap`, `WrongPeer`); the tree above says that all are errors.

import os
from typing import ClassVar

from syncd.language import english_of


class SyncdError(Exception):
    """`message`: what happened and where. `hint`: what to do about it. `exit_code`: of the process that gives up on
    it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} — {self.hint}" if self.hint else str(self.message)

    @property
    def english(self) -> str:
        """The same for files and the wire, whatever language this process speaks."""
        message, hint = english_of(self.message), english_of(self.hint)
        return f"{message} — {hint}" if hint else str(message)


class UsageError(SyncdError):
    exit_code = 2


class ConfigError(SyncdError):
    exit_code = 78


class KeyFileError(ConfigError):
    pass


class DatabaseUnusable(ConfigError):
    pass


class PermissionDenied(SyncdError):
    exit_code = 77


class NotCanonical(SyncdError):
    pass


class TemporaryError(SyncdError):
    exit_code = 75


class ParentUnreachable(TemporaryError):
    pass


class DatabaseLocked(TemporaryError):
    pass


class DiskFull(TemporaryError):
    pass


class AlreadyRunning(TemporaryError):
    pass


class NotHereYet(TemporaryError):
    pass


class Busy(TemporaryError):
    pass


class TooMany(TemporaryError):
    pass


class TrustError(SyncdError):
    exit_code = 77


class WrongPeer(TrustError):
    pass


class JoinRefused(TrustError):
    pass


class TokenError(TrustError):
    pass


class TokenMalformed(TokenError):
    pass


class TokenExpired(TokenError):
    pass


class TokenUsed(TokenError):
    pass


class EnvelopeError(SyncdError):
    pass


class Truncated(EnvelopeError):
    pass


class Altered(EnvelopeError):
    pass


class Forked(EnvelopeError):
    pass


class Replayed(EnvelopeError):
    pass


class Foreign(EnvelopeError):
    pass


class Gap(EnvelopeError):
    pass


class TooLarge(EnvelopeError):
    pass


class SchemaNewer(EnvelopeError):
    pass


class GrantUnreadable(EnvelopeError):
    pass


class Diverged(EnvelopeError):
    pass


class KeyMissing(EnvelopeError):
    pass


class TreeOlder(EnvelopeError):
    pass


class StreamBehind(EnvelopeError):
    pass


class BeyondTerm(EnvelopeError):
    pass


class Unsupported(EnvelopeError):
    pass


class FileRefused(SyncdError):
    pass


class StoreError(SyncdError):
    pass


class RuleBroken(StoreError):
    pass


class UnfitTables(StoreError):
    pass


class IdTaken(StoreError):
    pass


class DatabaseReplaced(StoreError):
    pass


class ForkError(SyncdError):
    pass


class Unforeseen(SyncdError):
    pass


class DatabaseUnreachable(TemporaryError):
    pass


def written(error: BaseException) -> str:
    """An error as it is stored or logged: in English, whatever language this process speaks. What is none of ours is
    named by its kind: its words may quote a row. The system's own, of a file or a socket, tell which and why.
    """
    if isinstance(error, SyncdError):
        return error.english
    if isinstance(error, OSError) and error.errno is not None:
        named = "" if error.filename is None else f": {error.filename}"
        return f"{type(error).__name__}: {os.strerror(error.errno)}{named}"
    return type(error).__name__
