-- v0 -> v2: Latest revision

CREATE TABLE tim_state (
	-- only: postgres for next 2 lines
	key   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	value TEXT COLLATE "C" NOT NULL
	-- only: sqlite for next 2 lines (lines commented)
--	key   TEXT NOT NULL PRIMARY KEY,
--	value TEXT NOT NULL
);

-- Messages and redactions on their way to the homeserver, oldest first within (group_key, user_key).
CREATE TABLE tim_outbox (
	txn_id    TEXT   NOT NULL PRIMARY KEY,
	group_key BIGINT NOT NULL,
	user_key  BIGINT NOT NULL, -- who sends it
	seq       BIGINT NOT NULL,
	room_id   TEXT   NOT NULL,
	redacts   TEXT   NOT NULL, -- the event to redact; '' = content is a new message
	content   TEXT   NOT NULL,
	sent_at   BIGINT NOT NULL, -- ms
	due       BIGINT NOT NULL, -- ms
	attempts  BIGINT NOT NULL,
	sent_as   TEXT   NOT NULL DEFAULT '' -- the MXID that it may have been sent as before its sender got another; '' = he has not
);
CREATE INDEX tim_outbox_due_idx ON tim_outbox (due);
CREATE INDEX tim_outbox_message_idx ON tim_outbox (group_key, seq);

-- Ghosts whose place in a room has to be looked at. What they should be is computed when the task runs.
CREATE TABLE tim_room_task (
	room_id  TEXT   NOT NULL,
	user_key BIGINT NOT NULL,
	due      BIGINT NOT NULL, -- ms
	attempts BIGINT NOT NULL,
	PRIMARY KEY (room_id, user_key)
);
CREATE INDEX tim_room_task_due_idx ON tim_room_task (due);

-- New messages of the last days, for apps that were away (onRecvNewMessage).
CREATE TABLE tim_feed (
	cursor    BIGINT NOT NULL PRIMARY KEY,
	group_key BIGINT NOT NULL,
	seq       BIGINT NOT NULL,
	at        BIGINT NOT NULL, -- ms
	body      TEXT   NOT NULL
);
CREATE INDEX tim_feed_group_idx ON tim_feed (group_key, cursor);
CREATE INDEX tim_feed_at_idx ON tim_feed (at);

-- Redactions that came before what they redact.
CREATE TABLE tim_early_redaction (
	event_id TEXT   NOT NULL PRIMARY KEY, -- what is redacted
	room_id  TEXT   NOT NULL,
	at       BIGINT NOT NULL -- ms
);
CREATE INDEX tim_early_redaction_at_idx ON tim_early_redaction (at);

-- What is on its way to Tencent Cloud: messages, edits and recalls, oldest first within (group_key, user_key).
CREATE TABLE tim_relay (
	event_id  TEXT    NOT NULL PRIMARY KEY, -- of the message, the edit or the redaction
	group_key BIGINT  NOT NULL,
	user_key  BIGINT  NOT NULL, -- who sends it
	pos       BIGINT  NOT NULL, -- of the event: the order
	kind      TEXT    NOT NULL, -- send, edit, recall
	target    TEXT    NOT NULL, -- the event of the message that is edited or recalled
	type      TEXT    NOT NULL, -- of the event
	content   TEXT    NOT NULL, -- of the event
	parts     TEXT    NOT NULL, -- what it became for Tencent, JSON; '' = not translated yet
	part      INTEGER NOT NULL, -- the one that is next: long messages have several
	random    BIGINT  NOT NULL, -- its MsgRandom
	tried     BOOLEAN NOT NULL, -- Tencent may have it: look before it is sent again
	at        BIGINT  NOT NULL, -- ms
	due       BIGINT  NOT NULL, -- ms
	attempts  BIGINT  NOT NULL,
	sent_as   TEXT    NOT NULL DEFAULT '' -- the account as which this part was tried
);
CREATE INDEX tim_relay_due_idx ON tim_relay (due);
CREATE INDEX tim_relay_sender_idx ON tim_relay (group_key, user_key, pos);

-- Accounts of Matrix users in Tencent groups.
CREATE TABLE tim_join (
	group_key BIGINT  NOT NULL,
	user_key  BIGINT  NOT NULL,
	wanted    BOOLEAN NOT NULL, -- he should be a member
	joined    BOOLEAN NOT NULL, -- Tencent has him
	due       BIGINT,           -- ms; NULL = nothing to do
	attempts  BIGINT  NOT NULL,
	PRIMARY KEY (group_key, user_key)
);
CREATE INDEX tim_join_due_idx ON tim_join (due) WHERE due IS NOT NULL;

-- Groups of which Tencent takes no receipts for now.
CREATE TABLE tim_pause (
	group_key BIGINT NOT NULL PRIMARY KEY,
	code      BIGINT NOT NULL, -- Tencent's
	since     BIGINT NOT NULL, -- ms
	until     BIGINT NOT NULL  -- ms: the next try
);

-- Users whose receipts do not cross, by their own wish.
CREATE TABLE tim_private (
	user_key BIGINT NOT NULL PRIMARY KEY
);
