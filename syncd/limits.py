"""Every bound of the daemon, by name: loops, queues, bodies, retries.

In: nothing. Out: constants, units last in the name. Must hold: a size that comes from outside is compared with its
bound *before* anything is allocated for it (I6), and what this node sends obeys the bounds it enforces on receipt.
The packages ``schema`` and ``conflict`` keep bounds of their own.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Sequencing: a larger group travels in pieces, so that no write transaction and no envelope grows without end.
GROUP_ROWS_MAX: Final = 5_000
PIECE_BYTES: Final = 6 * MIB  # of long values in one piece, before they are packed: as they are they fit an envelope
LIGHT_BYTES_MAX: Final = 64 * MIB  # rows that can never take more are read at once, without being measured
LONG_ROWS_MIN: Final = 16  # read at once of a table with rows of any length
SHORT_BYTES_MAX: Final = 1 * KIB  # values that never take more are not measured

# Envelope. Plain is the size after decompression: without that bound a few kilobytes could unfold into gigabytes.
ENVELOPE_BYTES_MAX: Final = 8 * MIB
PLAIN_BYTES_MAX: Final = 16 * MIB  # of all parts together
# What the rows of one envelope take as values, as COPY text, in a database: columns send equal values once, so that a
# few bytes could stand for gigabytes. Counted by `protocol/unfolded.py`, alike where it is sealed and where it is read.
UNFOLDED_BYTES_MAX: Final = 17 * MIB  # whatever one row may hold fits, four bytes for each of its own
HEADER_BYTES_MAX: Final = 4 * KIB
PARTS_MAX: Final = 8  # eight bits of the envelope's first word tell which parts are absent
COLUMNS_MAX: Final = 256
NESTING_MAX: Final = 16
NAME_CHARS_MAX: Final = 63  # PostgreSQL cuts longer identifiers off silently
ENVELOPE_ROWS_MAX: Final = 65_536
CHECKPOINT_LINES_MAX: Final = 8_192
TIME_MS_MAX: Final = 253_402_300_799_999  # the last millisecond of the year 9999: later ones have no text
ZSTD_WINDOW_LOG_MAX: Final = 23  # a reader reserves at most 2^23 bytes of window, whatever a frame asks for

# Body of a part (columnar).
BODY_BLOCKS_MAX: Final = 8_192
BLOCK_COLUMNS_MAX: Final = 62  # a change mask is one signed 64-bit integer
COLUMN_NUMBER_MAX: Final = 62
TABLE_NUMBER_MAX: Final = 65_535
PLANE_WIDTH_MAX: Final = (
    32  # equally long text up to this width goes by character place; longer text packs better whole
)
SHARED_CHARS_MAX: Final = 256  # what is sent once for many rows is short: one envelope unfolds to few megabytes
DICTIONARY_VALUES_MAX: Final = 65_536

# Exchange.
PUSH_BYTES_MAX: Final = 2 * MIB
PULL_BYTES_MAX: Final = 2 * MIB  # answers to many children lie in memory at once
HANDSHAKE_BYTES_MAX: Final = 4 * MIB
STREAMS_MAX: Final = 50_000
HELLO_STREAMS: Final = 4_000  # in one part of a hello: some 230 KB
OWED_MAX: Final = 5_000  # streams whose receipts are asked for in one pull; with a backup's they fit one answer
WANTS_MAX: Final = 256  # streams asked for by samples in one message; the others are asked for with the next
SAMPLES_MAX: Final = 68  # of one stream: its end, then at distances 1, 2, 4, …, a baseline, its floor, its beginning
WISHES_AT_ONCE: Final = 500  # in one transaction

# Retries and waits.
RETRY_ATTEMPTS_MAX: Final = 8
RETRY_DELAY_S_MAX: Final = 20.0
CONNECT_S_MAX: Final = 10.0
EXCHANGE_S_MAX: Final = 120.0
HINT_WAIT_S_MAX: Final = 55.0  # a child asks for so long: below a minute, after which some firewalls forget a line
HINT_WAIT_S: Final = 30.0  # it is kept so long, unless more children than this wait
CROWD_MIN: Final = 64
DECLINED_WAIT_S: Final = 0.05  # of a pull after a refusal; twice as long after each further one
UNSETTLED_WAIT_S: Final = 1.0  # of a pull while the parent holds another past, or has not been greeted yet

# SQLite: apply holds the write lock no longer, so that a clerk's own commit never waits noticeably.
WRITE_LOCK_MS_MAX: Final = 250

# Backups.
BACKUP_HEAD_BYTES_MAX: Final = 64 * KIB
BACKUP_FRAME_BYTES_MAX: Final = PLAIN_BYTES_MAX + MIB
BACKUP_BLOCK_BYTES: Final = 4 * MIB  # rows are split into records of about so much; one row may be longer
BACKUP_ROWS: Final = 1_000  # read at once
BACKUP_ENVELOPES: Final = 16  # read at once: each may have 8 MiB
BACKUP_FILES_MAX: Final = 10_000  # looked at in one folder
NODE_FILE_BYTES_MAX: Final = MIB
MARK_BYTES_MAX: Final = 8 * MIB  # of the file `positions`: some 100 bytes for each own stream
RESCUES_MAX: Final = 3  # copies of databases that were taken away, in one node's directory
FOLDERS_MAX: Final = 100  # of files moved aside within one second

# Baselines and pruning.
BASELINE_BYTES_MAX: Final = 512 * MIB  # sealed, in memory while it is made: some ten million persons
BASELINE_ROW_BYTES: Final = 24  # sealed, of one row: measured with a register of persons and households
BASELINE_LOG_BYTES_MIN: Final = 256 * KIB  # a shorter log is not worth a baseline
PRUNE_ENVELOPES: Final = 2_000  # forgotten in one transaction
UPKEEP_FIRST_S: Final = 600.0  # after the start; many machines are off at night
UPKEEP_S: Final = 24 * 3600.0
UPKEEP_SPREAD_S: Final = 1800.0
BASELINE_PIECE_BYTES: Final = 6 * MIB  # of a piece before it is packed: what does not pack fits an envelope too

# Mending.
MEND_LOCK_MS_MAX: Final = 2_000  # PostgreSQL: how long mending waits for, and thereby holds up, who writes the tables

CAPTURE_LOOK_S: Final = 3.0  # PostgreSQL: how often the catalogue is looked at; SQLite tells by a number in its file
SEARCH_REST: Final = 20  # times as long as comparing content with the log took, before it is done again
COMPARE_CACHE_KIB: Final = 32_768  # of a log put together: 120 000 persons; a larger register's goes to a scratch file
COMPARE_DAILY_S: Final = 600.0  # for comparing own streams with their logs; the rest the next day
FOUND_ROWS: Final = 2_000  # changed past the triggers, journaled in one transaction
FOUND_LOST_MIN: Final = 50  # rows gone, or with a value gone, before half of a table is thought to be a mistake
FOUND_WORDS_MAX: Final = 1_000  # of a case that names tables and rows

# Databases.
BUSY_TIMEOUT_MS: Final = 5_000
PATIENCE_S: Final = 60.0  # that a command waits for others at one of its commit boundaries
PATIENCE_LOOK_S: Final = 0.0005  # between two tries: who writes in a loop leaves the database free for so long
GIVE_WAY_AFTER_S: Final = 0.1  # a write transaction that took so long is followed by a pause for other programs,
GIVE_WAY_S: Final = 0.002  # which would find no gap between it and the next: a fiftieth of the time at most
LOCK_WAIT_S: Final = 60.0  # PostgreSQL: of a daemon's stage, for who holds a row or table: it says so, and comes again
PATIENCE_AGAIN_S: Final = 0.05  # before a transaction that a server took back is done anew, then ever more,
PATIENCE_AGAIN_S_MAX: Final = 1.0  # up to this
PATIENCE_TOLD_AFTER_S: Final = 2.0  # a shorter wait is not worth a word
PATIENCE_TOLD_EVERY_S: Final = 10.0
SQL_VALUES_MAX: Final = 30_000  # values bound in one SQLite statement
LOG_FILE_WAIT_MS: Final = 200  # for who reads it; others cannot write meanwhile
LIST_VALUES_MAX: Final = 1_024  # values in one IN list: prepared, it takes 200 KB, and drivers keep a hundred texts
CONNECTIONS_IDLE_MAX: Final = 8
LOG_FILE_BYTES_MAX: Final = 16 * MIB  # of SQLite, once its beginning is used again
LOG_FILE_BYTES_AT_REST: Final = 4 * MIB  # of SQLite; a longer one is cut off once it is quiet
READER_WAIT_S: Final = 0.02  # for one of these, before another is opened for a while
READERS_AT_REST: Final = 2  # kept with the schema in memory (SQLite) by a node that has children: 1.5 MB each
STRANGERS_SHOWN_MAX: Final = 5  # roles named that may create objects beside our tables
DIGEST_ROWS: Final = 250  # in memory at once while content is digested; more cost memory and are not faster

# Applying.
APPLY_BYTES_MAX: Final = 4 * MIB  # read from the log at once
APPLY_TURN_MS_MAX: Final = 5_000  # PostgreSQL: a transaction of many groups ends after this
TURN_SHARE: Final = 0.6  # of it after which no group is begun, so that the last one fits
UPDATE_CELLS_MAX: Final = 500_000  # of updates of many masks in one statement: a list has eight bytes for each
HISTORY_ENVELOPES_MAX: Final = 500  # how far back `latest` looks for when a value changed

SILENT_MAX: Final = 64  # nodes below that a child tells of as silent
SILENT_LOOK_S: Final = 60.0  # how often it looks which they are

# Nodes. Below a node one step from the root, two, three and more: a province has some 700 nodes in all, a district 30.
NODES_BELOW_MAX: Final = (4_000, 500, 50)
NODES_MINTED_MAX: Final = 10_000  # records of one node: every tier reads them all
CONTROL_ROWS_MAX: Final = 100_000  # rows of one control stream from below: grants, nodes, orders, changes of these
ORDERS_MINTED_MAX: Final = 50_000  # hand-overs, and moves of households, of one node
BASELINES_MAX: Final = 32  # of one stream, held here; what is superseded is forgotten with the next upkeep

# Deciding.
DECIDE_ROWS_MAX: Final = 1_000  # proposals in one transaction
TREE_DEPTH_MAX: Final = 32  # the tree is data, of any depth; this only stops records made to keep us busy
QUARANTINE_BYTES_MAX: Final = 64 * MIB  # of one stream, written after its keeper's term
LATE_OFFER_MS: Final = 24 * 3600 * 1000  # after that, all branches of late writes are offered to the parent anew
LATE_BRANCHES_MAX: Final = 32  # of one stream beyond its end: as often as a copy of its keeper was put back
CASE_ROWS_MAX: Final = 1_000  # rows a case names one by one
ROWS_NAMED_MAX: Final = 5  # of one table where a log and its tables are compared
RECORDS_GROUPS_MIN: Final = 64  # groups with records of nodes, units, orders: as many in one transaction, however slow,
RECORDS_LOCK_MS_MAX: Final = 1_000  # unless it has lasted so long: other groups among them may carry any number of rows
UNDECODED_ROWS_MAX: Final = 100_000  # of a table, read for a byte of an old code: 0.1 s
APPLY_TURNS_MAX: Final = 50  # transactions of one stream before the others are looked at again
LEAVING_WAIT_S: Final = 0.2  # between two looks whether an old transaction still writes a unit that passes
TERMS_BY_AGREEMENT: Final = 1000  # at most, between two forced ones
TERMS_BY_FORCE: Final = 1000  # places of forced terms behind one: which an order takes follows from its id
TERMS_MAX: Final = 10_000  # hand-overs of one unit

# The log.
LOG_REPEATED_S: Final = 60.0  # a warning of one cause is written once, then how often it came again, so often
FRAMES_MAX: Final = 30  # of one traceback
LOG_CAUSES_MAX: Final = 64  # of one event told apart; what is beyond is counted together

# What an operator's screen shows or reads at most.
STATUS_ENVELOPES_MAX: Final = 20_000  # longer logs are not added up: the screen must come at once
STATUS_STREAMS_MAX: Final = 50
STATUS_CHILDREN_MAX: Final = 30  # those that need help most; more are counted, or asked for
STATUS_UNITS_MAX: Final = 6  # units kept here that a screen names; of more it gives the number
CONFLICTS_SHOWN_MAX: Final = 200
PEERS_NAMED_MAX: Final = 5  # neighbours in the line of `status --check`; more are counted
CLOCK_WITNESSES_MIN: Final = 2  # children who agree that it is this clock that is off
AWAY_NAMED_MAX: Final = 3  # silent nodes below a child there
CORRECTED_SHOWN_MAX: Final = 200  # corrections that `units import` tells one by one
DISAGREEMENTS_REPORTED_MAX: Final = 10  # of those just decided
DISAGREEMENT_COLUMNS_MAX: Final = 6  # of one of those told with their commands
DISAGREEMENTS_NAMED_MAX: Final = 2  # ids written into the command that the list names next
DISAGREEMENTS_DETAILED_MAX: Final = 5  # disagreements told with their commands: more are no list any more
ROWS_BESIDE_MAX: Final = 4  # rows side by side
STOPPED_SHOWN_MAX: Final = 2  # streams, hand-overs told at length on the screen; more are counted
AWAITED_SHOWN_MAX: Final = 3  # nodes of whom more is to come
SILENT_SHOWN_MAX: Final = 3  # silent nodes below a child
REFUSED_SHOWN_MAX: Final = 2  # streams that the parent refused
TOKEN_CHARS_MAX: Final = 4_096  # read from standard input
LIST_BYTES_MAX: Final = 16 * MIB  # of households to be moved
SCRIPT_BYTES_MAX: Final = 64 * MIB  # of `syncd sql --file`
DATABASE_KEY_BYTES_MAX: Final = 64  # of its file
AUTHOR_CHARS_MAX: Final = 200  # of who decides: that of the columns
SQL_ROWS_MAX: Final = 100_000  # rows that `syncd sql` prints
CHECKPOINT_ATTEMPTS_MAX: Final = 5  # `verify` beside a running daemon
PROPOSAL_SET_MAX: Final = 60  # --set options of one proposal
PROPOSAL_VALID_DAYS_MAX: Final = 3_660
WISHES_LINES_MAX: Final = 10_000  # of `propose --file`, written in one transaction
WISHES_BYTES_MAX: Final = 32 * MIB

# Enrolment.
TOKEN_VALID_S_MAX: Final = 90 * 24 * 3600
SHOWN_UNITS_MAX: Final = 10

JOIN_FAILURES_MAX: Final = 20  # of one address at once; after them one every few seconds is told apart and logged
JOIN_FAILURES_S: Final = 0.2
JOIN_ADDRESSES_MAX: Final = 4_096

# Serving children.
SERVER_THREADS_MAX: Final = 8  # database work at once
CONNECTIONS_MAX: Final = 10_000  # two of each child; fewer where the system allows fewer descriptors
CHILD_CONNECTIONS_MAX: Final = 8  # two, and those that a bad line has left behind
STRANGERS_MAX: Final = 512  # connections that have not proven a child yet; of one address half of that
BACKLOG: Final = 1_024  # connections that wait with the kernel
DESCRIPTORS_MAX: Final = 65_536  # asked of the system at the start
DESCRIPTORS_KEPT: Final = 192  # for the database, files, threads
SCARCE_WAIT_S: Final = 0.2  # before accepting is tried again where there was no descriptor
SCARCE_TOLD_S: Final = 60.0  # how often the log says so
ROOM_WAIT_S: Final = 0.05  # between two looks whether there is room for one that was accepted
HANDSHAKE_S_MAX: Final = 10.0
HANDSHAKE_GRACE_S: Final = 2.0  # a handshake keeps its place for so long although others want it,
SILENT_GRACE_S: Final = 0.25  # and for so long who says nothing after it
HEAD_S_MAX: Final = 10.0  # from the handshake, or the first byte of a further question, to the end of its head
KEEP_ALIVE_S: Final = 900  # the server's; the client gives a connection up earlier, or it would meet a closed one
STRANGER_KEEP_ALIVE_S: Final = 5
CLIENT_KEEP_ALIVE_S: Final = 600
BODY_STALL_S_MAX: Final = 30.0  # a sender that says nothing for so long has gone
BODY_BYTES_PER_S_MIN: Final = KIB  # the whole body may take as long as at this speed, and a stall more
ANSWER_STALL_S_MAX: Final = 300.0  # in which the peer takes nothing of its answer
GOODBYE_S_MAX: Final = 5  # for TLS's farewell
TLS_BUFFER_BYTES: Final = 4 * KIB  # per connection, from its first byte to its last: hundreds of them wait
GATHER_WAITERS_MIN: Final = 16  # with more children waiting, news for all of them are gathered for
GATHER_S: Final = 1.0  # so long, and then told one child after another within
SPREAD_S: Final = 1.0
ACCEPT_BYTES_MAX: Final = MIB  # of a push taken over at once
RECEIVE_ENVELOPES: Final = 500  # in one transaction: some 100 ms on SQLite
SMALL_QUESTION_BYTES: Final = 256 * KIB  # some 5 000 streams; of larger ones a child asks one at a time
LARGE_QUESTIONS_MAX: Final = 2  # worked at at once, of all children
BUSY_WAIT_S: Final = 5.0  # that a large question waits for the child's other one, and before it comes again
LARGE_WAIT_S: Final = 2.0  # that a large pull is held: it keeps the child's place
RECEIPTS_APART_MAX: Final = 100  # receipts looked up one by one; of more streams all positions are read at once
CHUNK_BYTES: Final = 256 * KIB
ERROR_BYTES_MAX: Final = 4 * KIB
PULL_ANSWER_BYTES_MAX: Final = HANDSHAKE_BYTES_MAX + PULL_BYTES_MAX + ENVELOPE_BYTES_MAX + 16 * KIB  # with its lengths
WRITE_BYTES: Final = 16 * KIB  # given to the line at once
LINE_BYTES_S_MIN: Final = 256  # a slower line is left: the next exchange goes on where this one came to
SHUTDOWN_S_MAX: Final = 8  # what may be under way when the process is told to end

# The daemon's threads.
OPEN_GROUP_WAIT_S_MAX: Final = 5.0  # how long applying waits inside a transaction for the rest of a group
REPEAT_WAIT_S: Final = 0.05  # before the next pull where an answer changed nothing; then ever longer
REPEAT_WAIT_S_MAX: Final = 5.0
BRANCHES_LEFT_MAX: Final = 1_000  # of the root's own streams, remembered for children that followed them
HANDED_BACK_MS: Final = 60_000  # how long a root waits for what a child alone knows, and perhaps cannot hand back
BLOCKED_WAIT_S_MAX: Final = 30.0  # before a stream the parent refused is offered again
POLL_POSTGRES_S: Final = 0.05
POLL_FALLBACK_S: Final = 1.0  # where the system tells of writes, in case it did not
POLL_FIRST_S: Final = 0.003  # after a write was seen its commit is looked for at growing intervals, up to poll_ms,
ACTIVE_S: Final = 0.5  # for so long
RELAX_AFTER_S: Final = 5.0  # of quiet: then memory that only the burst needed is given back
RELAX_AGAIN_S_MAX: Final = 600.0  # and again after ever longer, where somebody was still reading
CHECKPOINT_S_MAX: Final = 24 * 3600.0
FLUSH_S: Final = 30.0  # times of exchanges reach the disk at most so often
BUSY_S_MAX: Final = 180.0  # without a step of a thread that waits for nobody: from then on no sign of life
PULSE_OPERATIONS: Final = 1_000_000  # of SQLite's machine, 10 ms or more, are a step of whoever runs a long statement
PLACES_SHOWN_MAX: Final = 4  # of a thread that makes no step: lines of code logged, innermost first
TURN_LOOK_S: Final = 1.0  # who waits for another thread looks so often whether that one gets on
CONTROL_BYTES_MAX: Final = MIB
SYNC_ROUNDS_MAX: Final = 50
RECEIPT_WAIT_S: Final = 1.5  # of `sync --once`, for the custodian's receipt
RECEIPT_BUSY_S_MAX: Final = 30.0  # in all, while the parent has not come to what it was sent,
RECEIPT_STEP_S: Final = 2.0  # which it looks at so often
PARENT_LIVES_S: Final = 58.0  # it has answered so lately: also where nothing was to be said (HINT_WAIT_S_MAX)
RECEIPTS_FLOW_S: Final = 10.0  # receipts that came from above so lately tell that others are on their way

# A full disk (SQLite).
RESERVE_BYTES: Final = 4 * MIB  # some 50 000 waiting changes into the log, whose journal rows then free pages
START_BYTES: Final = 1 * MIB  # with less the reserve is given back before the database is opened
RESERVE_LOOK_S: Final = 5.0  # how often space is looked for while the reserve is given back
LOOK_AT_ALL_MS: Final = 5_000  # how often a push compares all streams with the parent's, not those told of alone
NOTE_WAIT_S: Final = 1.0  # how soon positions of the parent are noted that another writer kept from being noted
ARENAS_MAX: Final = 2  # of memory: one for each of a server's threads would keep what its thread needed once
WRITER_CACHE_KIB: Final = 32_768  # of SQLite pages; taken only as they are touched, given back when it is quiet
STOPPED_RETRY_S: Final = 1.0  # a stopped stream is tried again after this, then after twice as long, …
STOPPED_RETRY_S_MAX: Final = 60.0
DUTY_RETRY_S: Final = 1.0  # a duty that failed is tried again after this, then after twice as long, …
DUTY_RETRY_S_MAX: Final = 600.0
DUTIES_FAILING_MAX: Final = 10_000  # told apart; beyond them each is tried at every turn

# Identity: rows that are one person.
IDENTITY_BLOCK_PERSONS_MAX: Final = 400  # a block of more is no clue; its pairs meet in narrower blocks or not at all
IDENTITY_DUE_PERSONS: Final = 100  # changed persons matched in one transaction: some 150 ms on SQLite
IDENTITY_LOOKED_UP_MAX: Final = 2_000  # changed persons looked up one by one: a second, however few there are in all
IDENTITY_LOOKED_UP_SHARE: Final = 5  # and a fifth of all: a look-up costs as much as five persons of the walk over all
IDENTITY_INDEX_PERSONS: Final = 2_000  # persons compared with the index at once by a daemon
IDENTITY_SWEEP_KEYS: Final = 100_000  # keys in memory while they are brought into order, up to twice: 90 bytes each
IDENTITY_SWEEP_PERSONS: Final = 400_000  # whose keys go into the index before those of others: 32 readings of them
IDENTITY_SWEEP_ROWS: Final = 5_000  # persons whose keys are read at once then
IDENTITY_STEP_S: Final = 0.5  # of a daemon's first look at everybody, before it asks whether something else is due
IDENTITY_PAUSE_S: Final = 0.1  # between two such steps while nothing else moves
IDENTITY_WRITE_PAIRS: Final = 500  # links and cases written in one transaction
IDENTITY_INDEX_ROWS: Final = 8_000  # keys written in one transaction: some 50 ms on SQLite
IDENTITY_IDS_MAX: Final = 500  # values in one IN list
IDENTITY_CANDIDATES_MAX: Final = 200  # persons compared with one changed person
IDENTITY_NAME_PAIRS_MAX: Final = 250_000  # comparisons of names remembered, and of dates: some 150 bytes each
IDENTITY_MATES_MAX: Final = 30  # other members of a household looked at; a dormitory proves nothing
IDENTITY_MOVE_DAYS_MAX: Final = 90  # between a departure and the arrival that speaks for it
IDENTITY_LISTED_MAX: Final = 200  # links shown on one screen

# Detecting disagreements.
DETECT_ROWS: Final = 2_000  # changed rows looked at in one turn; applying goes on in between
DETECT_CALM_S: Final = 2.0  # after anything moved, before a daemon looks
DETECT_WAIT_S_MAX: Final = 30.0  # between two turns of looking while things move on and on
DETECT_IDS_MAX: Final = 1_000  # values in one IN list
DETECT_FOUND_MAX: Final = 5_000  # rows that one question may return; a number borne by thousands is settled in parts
DETECT_UNSAVED_ROWS: Final = 5_000  # looked at again after a crash, at most: a position alone is not worth a commit
DETECT_DUE_ROWS: Final = 1_000  # rows whose time has come, in one turn
DETECT_SWEEP_CASES: Final = 5_000  # open cases looked at again once a day
DETECT_TRIES_MAX: Final = 64  # parts of a turn's rows looked at by a rule that failed on them together
DETECT_STOPPED_MAX: Final = 16  # rows that a rule fails on, each a case of its own; more are one
DETECT_UNMATCHED_MAX: Final = 50_000  # changed persons that wait for matching, which failed
DETECT_LOOK_S_MAX: Final = 3600.0  # how long a node sleeps while something is on its agenda
MISSING_GRACE_DAYS: Final = 14  # a row that is referred to may be typed, or arrive, later
EVENT_GRACE_DAYS: Final = 7  # a person is marked before the event is typed, or the other way round
STATION_ALIVE_S: Final = 3600.0  # a machine that was heard since then is not taken for dead without a warning
MOVE_OVERDUE_DAYS: Final = 90  # domain.md §3: after that a move without its other end is an exception
MOVE_LOOK_BACK_DAYS: Final = 730  # older moves were made before both ends were on this system
EVENT_DAYS: Final = 7  # two records of one event may differ by so much (domain.md §3)
BIRTH_SPACING_DAYS: Final = 210  # seven months
AGE_YEARS_MAX: Final = 125  # nobody who lives is older: a digit is wrong, or a program filled in a day of its own
DAY_MIN: Final = "1900-01-01"  # no register has events or households before it
MOTHER_AGE_MIN: Final = 10
MOTHER_AGE_MAX: Final = 55
CASE_SIDES_MAX = 50  # rows that one case names
DETECT_SIDES_SHOWN: Final = 5  # candidates for the other end of a move
