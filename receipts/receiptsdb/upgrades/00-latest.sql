-- v0 -> v1: Latest schema
CREATE TABLE tim_reader (
	group_key BIGINT NOT NULL,
	user_key  BIGINT NOT NULL,

	-- receipts.Set and receipts.Claims in their binary forms; NULL is empty.
	-- tencent_set is different: NULL is the same as read_set, one zero byte is empty.
	read_set    bytea,
	tencent_set bytea,
	claims      bytea,
	-- the highest place in claims
	claim_max BIGINT NOT NULL,

	latest   BIGINT NOT NULL,
	frontier BIGINT NOT NULL,
	solid    BIGINT NOT NULL,
	shown    BIGINT NOT NULL,
	sent     BIGINT NOT NULL,

	-- milliseconds since 1970 from which on Matrix has to be told something; NULL is never
	due      BIGINT,
	attempts BIGINT NOT NULL,
	-- the same for what Tencent Cloud has yet to be told
	ack_due      BIGINT,
	ack_attempts BIGINT NOT NULL,

	PRIMARY KEY (group_key, user_key)
)
-- only: sqlite
WITHOUT ROWID
;
CREATE INDEX tim_reader_due_idx ON tim_reader (due) WHERE due IS NOT NULL;
CREATE INDEX tim_reader_ack_idx ON tim_reader (ack_due) WHERE ack_due IS NOT NULL;

CREATE TABLE tim_parked (
	room_id    TEXT    NOT NULL,
	user_id    TEXT    NOT NULL,
	event_id   TEXT    NOT NULL,
	thread_id  TEXT    NOT NULL,
	has_thread BOOLEAN NOT NULL,
	since_ms   BIGINT  NOT NULL,

	PRIMARY KEY (room_id, user_id, event_id, thread_id, has_thread)
)
-- only: sqlite
WITHOUT ROWID
;
CREATE INDEX tim_parked_event_idx ON tim_parked (event_id);
CREATE INDEX tim_parked_since_idx ON tim_parked (since_ms);

CREATE TABLE tim_callback (
	user_key  BIGINT NOT NULL,
	group_key BIGINT NOT NULL,
	seq       BIGINT NOT NULL,
	cursor    BIGINT NOT NULL,
	at_ms     BIGINT NOT NULL,

	PRIMARY KEY (user_key, group_key, seq)
)
-- only: sqlite
WITHOUT ROWID
;
CREATE INDEX tim_callback_cursor_idx ON tim_callback (user_key, cursor);
CREATE INDEX tim_callback_all_idx ON tim_callback (cursor);
CREATE INDEX tim_callback_at_idx ON tim_callback (at_ms);
