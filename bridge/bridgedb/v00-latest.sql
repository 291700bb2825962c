-- v0 -> v1: Latest revision

CREATE TABLE tim_state (
	key   TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
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
	attempts  BIGINT NOT NULL
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
