CREATE TABLE timbridge_mapping_version (version INTEGER, compat INTEGER);
CREATE TABLE tim_room (
	room_key INTEGER PRIMARY KEY,
	room_id  TEXT   NOT NULL UNIQUE,
	-- The last place given in the room.
	last_pos BIGINT NOT NULL DEFAULT 0,
	-- No more anchors than this are kept of the room: says when to look whether some can go.
	anchors  BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE tim_group (
	group_key INTEGER PRIMARY KEY,
	group_id  TEXT NOT NULL UNIQUE,
	-- UNIQUE is the same-group rule: a room is one group's at a time.
	room_key   BIGINT UNIQUE REFERENCES tim_room (room_key),
	seq_source TEXT   NOT NULL,
	type       TEXT   NOT NULL,
	name       TEXT   NOT NULL,
	last_seq   BIGINT NOT NULL DEFAULT 0,
	-- NULL: not known where in its room the group was linked.
	linked_pos BIGINT,
	to_matrix  BOOLEAN NOT NULL DEFAULT true,
	to_tencent BOOLEAN NOT NULL DEFAULT true,
	-- How many messages it has, so that nobody has to count them.
	messages   BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE tim_user (
	user_key INTEGER PRIMARY KEY,
	user_id  TEXT NOT NULL UNIQUE,
	mxid     TEXT UNIQUE,
	kind     INTEGER NOT NULL,
	alias_of BIGINT REFERENCES tim_user (user_key)
);
CREATE TABLE tim_member (
	group_key  BIGINT NOT NULL REFERENCES tim_group (group_key),
	user_key   BIGINT NOT NULL REFERENCES tim_user (user_key),
	-- Tells the stays of one user apart; says nothing about their order.
	stay       INTEGER NOT NULL,
	joined_seq BIGINT NOT NULL,
	joined_pos BIGINT,
	-- NULL: still a member.
	left_seq   BIGINT,
	left_pos   BIGINT,
	PRIMARY KEY (group_key, user_key, stay)
) WITHOUT ROWID;
CREATE TABLE tim_message (
	group_key BIGINT NOT NULL REFERENCES tim_group (group_key),
	seq       BIGINT NOT NULL,
	room_key  BIGINT REFERENCES tim_room (room_key),
	pos       BIGINT,
	event_id  bytea,
	msg_id    bytea,
	thread    bytea,
	sender    BIGINT REFERENCES tim_user (user_key),
	random    BIGINT,
	flags     INTEGER NOT NULL,
	at_ms     BIGINT,
	PRIMARY KEY (group_key, seq)
) WITHOUT ROWID;
CREATE TABLE tim_anchor (
	room_key BIGINT NOT NULL REFERENCES tim_room (room_key),
	pos      BIGINT NOT NULL,
	event_id bytea  NOT NULL,
	thread   bytea,
	-- When a gap arrived; NULL for what will never be a message.
	gap_ms   BIGINT,
	-- The place is that of the event before it: a message cannot have it for its own.
	borrowed BOOLEAN NOT NULL,
	PRIMARY KEY (room_key, pos, event_id)
) WITHOUT ROWID;
CREATE TABLE timbridge_receipts_version (version INTEGER, compat INTEGER);
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
WITHOUT ROWID
;
CREATE TABLE tim_parked (
	room_id    TEXT    NOT NULL,
	user_id    TEXT    NOT NULL,
	event_id   TEXT    NOT NULL,
	thread_id  TEXT    NOT NULL,
	has_thread BOOLEAN NOT NULL,
	since_ms   BIGINT  NOT NULL,

	PRIMARY KEY (room_id, user_id, event_id, thread_id, has_thread)
)
WITHOUT ROWID
;
CREATE TABLE tim_callback (
	user_key  BIGINT NOT NULL,
	group_key BIGINT NOT NULL,
	seq       BIGINT NOT NULL,
	cursor    BIGINT NOT NULL,
	at_ms     BIGINT NOT NULL,

	PRIMARY KEY (user_key, group_key, seq)
)
WITHOUT ROWID
;
CREATE TABLE timbridge_bridge_version (version INTEGER, compat INTEGER);
CREATE TABLE tim_state (
	key   TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
);
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
CREATE TABLE tim_room_task (
	room_id  TEXT   NOT NULL,
	user_key BIGINT NOT NULL,
	due      BIGINT NOT NULL, -- ms
	attempts BIGINT NOT NULL,
	PRIMARY KEY (room_id, user_key)
);
CREATE TABLE tim_feed (
	cursor    BIGINT NOT NULL PRIMARY KEY,
	group_key BIGINT NOT NULL,
	seq       BIGINT NOT NULL,
	at        BIGINT NOT NULL, -- ms
	body      TEXT   NOT NULL
);
CREATE TABLE tim_early_redaction (
	event_id TEXT   NOT NULL PRIMARY KEY, -- what is redacted
	room_id  TEXT   NOT NULL,
	at       BIGINT NOT NULL -- ms
);
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
CREATE TABLE tim_join (
	group_key BIGINT  NOT NULL,
	user_key  BIGINT  NOT NULL,
	wanted    BOOLEAN NOT NULL, -- he should be a member
	joined    BOOLEAN NOT NULL, -- Tencent has him
	due       BIGINT,           -- ms; NULL = nothing to do
	attempts  BIGINT  NOT NULL,
	PRIMARY KEY (group_key, user_key)
);
CREATE TABLE tim_pause (
	group_key BIGINT NOT NULL PRIMARY KEY,
	code      BIGINT NOT NULL, -- Tencent's
	since     BIGINT NOT NULL, -- ms
	until     BIGINT NOT NULL  -- ms: the next try
);
CREATE TABLE tim_private (
	user_key BIGINT NOT NULL PRIMARY KEY
);
CREATE TABLE mx_version (version INTEGER, compat INTEGER);
CREATE TABLE mx_registrations (
	user_id TEXT PRIMARY KEY
);
CREATE TABLE mx_user_profile (
	room_id       TEXT,
	user_id       TEXT,
	membership    membership NOT NULL,
	displayname   TEXT       NOT NULL DEFAULT '',
	avatar_url    TEXT       NOT NULL DEFAULT '',

	name_skeleton bytea,

	PRIMARY KEY (room_id, user_id)
);
CREATE TABLE mx_room_state (
	room_id            TEXT PRIMARY KEY,
	power_levels       jsonb,
	encryption         jsonb,
	create_event       jsonb,
	join_rules         jsonb,
	history_visibility jsonb,
	members_fetched    BOOLEAN NOT NULL DEFAULT false
);
INSERT INTO timbridge_mapping_version (version, compat) VALUES (1, 1);
INSERT INTO tim_room (room_key, room_id, last_pos, anchors) VALUES (1, '!team:a.test', 5, 5);
INSERT INTO tim_room (room_key, room_id, last_pos, anchors) VALUES (2, '!cloud:a.test', 1, 1);
INSERT INTO tim_group (group_key, group_id, room_key, seq_source, type, name, last_seq, linked_pos, to_matrix, to_tencent, messages) VALUES (1, 'team', 1, 'own', 'Public', 'The team', 5, 0, 1, 1, 5);
INSERT INTO tim_group (group_key, group_id, room_key, seq_source, type, name, last_seq, linked_pos, to_matrix, to_tencent, messages) VALUES (2, '@TGS#cloud', 2, 'cloud', 'Work', '', 7, 0, 1, 0, 1);
INSERT INTO tim_group (group_key, group_id, room_key, seq_source, type, name, last_seq, linked_pos, to_matrix, to_tencent, messages) VALUES (3, 'roomless', NULL, 'stamped', '', '', 0, NULL, 1, 1, 0);
INSERT INTO tim_user (user_key, user_id, mxid, kind, alias_of) VALUES (1, 'alice', '@tim_alice:a.test', 0, NULL);
INSERT INTO tim_user (user_key, user_id, mxid, kind, alias_of) VALUES (2, 'bob', '@tim_bob:a.test', 0, NULL);
INSERT INTO tim_user (user_key, user_id, mxid, kind, alias_of) VALUES (3, 'mx_df6fyofzlml3c4dpftjzhazgj4', '@ann:a.test', 1, NULL);
INSERT INTO tim_user (user_key, user_id, mxid, kind, alias_of) VALUES (4, 'mx_3dwyvbqsuiytkl5mhmyey7dnip', NULL, 1, 5);
INSERT INTO tim_user (user_key, user_id, mxid, kind, alias_of) VALUES (5, 'ben', '@ben:a.test', 2, NULL);
INSERT INTO tim_member (group_key, user_key, stay, joined_seq, joined_pos, left_seq, left_pos) VALUES (1, 1, 1, 0, 0, NULL, NULL);
INSERT INTO tim_member (group_key, user_key, stay, joined_seq, joined_pos, left_seq, left_pos) VALUES (1, 2, 1, 0, 0, 5, 5);
INSERT INTO tim_member (group_key, user_key, stay, joined_seq, joined_pos, left_seq, left_pos) VALUES (1, 2, 2, 5, 5, NULL, NULL);
INSERT INTO tim_member (group_key, user_key, stay, joined_seq, joined_pos, left_seq, left_pos) VALUES (1, 3, 1, 0, 0, NULL, NULL);
INSERT INTO tim_member (group_key, user_key, stay, joined_seq, joined_pos, left_seq, left_pos) VALUES (1, 5, 1, 0, 0, NULL, NULL);
INSERT INTO tim_member (group_key, user_key, stay, joined_seq, joined_pos, left_seq, left_pos) VALUES (2, 3, 1, 0, NULL, NULL, NULL);
INSERT INTO tim_message (group_key, seq, room_key, pos, event_id, msg_id, thread, sender, random, flags, at_ms) VALUES (1, 1, 1, 1, X'00246F6E65', X'036553F1000000000B020000025E18C397', NULL, 1, 1, 1, 1772366400000);
INSERT INTO tim_message (group_key, seq, room_key, pos, event_id, msg_id, thread, sender, random, flags, at_ms) VALUES (1, 2, 1, 2, X'01171A5DB67476A97D86CB778015B3996450D3F3EF0D5D88AAEC9A720855A650D5', X'036553F1000000000C020000025E18C397', NULL, 2, 2, 1, 1772366400000);
INSERT INTO tim_message (group_key, seq, room_key, pos, event_id, msg_id, thread, sender, random, flags, at_ms) VALUES (1, 3, 1, 3, X'00247468726565', X'036553F1000000000D020000025E18C397', X'00246F6E65', 3, 3, 1, 1772366400000);
INSERT INTO tim_message (group_key, seq, room_key, pos, event_id, msg_id, thread, sender, random, flags, at_ms) VALUES (1, 4, NULL, NULL, NULL, X'006F776E2D776F726473', NULL, 2, 4, 5, 1772366400000);
INSERT INTO tim_message (group_key, seq, room_key, pos, event_id, msg_id, thread, sender, random, flags, at_ms) VALUES (1, 5, NULL, NULL, NULL, NULL, NULL, 2, 5, 10, 1772366400000);
INSERT INTO tim_message (group_key, seq, room_key, pos, event_id, msg_id, thread, sender, random, flags, at_ms) VALUES (2, 7, NULL, NULL, NULL, X'036553F1000000001B020000025E18C397', NULL, 2, 7, 0, 1772366400000);
INSERT INTO tim_anchor (room_key, pos, event_id, thread, gap_ms, borrowed) VALUES (1, 4, X'00247265616374696F6E', NULL, NULL, 0);
INSERT INTO tim_anchor (room_key, pos, event_id, thread, gap_ms, borrowed) VALUES (1, 5, X'00246C617465', NULL, 1772366400000, 0);
INSERT INTO tim_anchor (room_key, pos, event_id, thread, gap_ms, borrowed) VALUES (2, 1, X'0024676170', NULL, 1772366400000, 0);
INSERT INTO timbridge_receipts_version (version, compat) VALUES (1, 1);
INSERT INTO tim_reader (group_key, user_key, read_set, tencent_set, claims, claim_max, latest, frontier, solid, shown, sent, due, attempts, ack_due, ack_attempts) VALUES (1, 1, X'01010124EC2A70', NULL, NULL, 0, 3, 0, 0, 2, 3, 1772366460000, 1, NULL, 0);
INSERT INTO tim_reader (group_key, user_key, read_set, tencent_set, claims, claim_max, latest, frontier, solid, shown, sent, due, attempts, ack_due, ack_attempts) VALUES (1, 2, X'010000C5253104', X'00', NULL, 0, 1, 0, 0, 1, 1, NULL, 0, 1772366400000, 2);
INSERT INTO tim_reader (group_key, user_key, read_set, tencent_set, claims, claim_max, latest, frontier, solid, shown, sent, due, attempts, ack_due, ack_attempts) VALUES (1, 3, X'010002241E41F3', X'010000C5253104', X'01000204246F6E65034427D7ED', 3, 3, 0, 0, 3, 0, NULL, 0, NULL, 0);
INSERT INTO tim_reader (group_key, user_key, read_set, tencent_set, claims, claim_max, latest, frontier, solid, shown, sent, due, attempts, ack_due, ack_attempts) VALUES (1, 5, X'010001374EB207', NULL, X'010200E26001EA', 2, 2, 2, 2, 2, 2, NULL, 0, NULL, 0);
INSERT INTO tim_reader (group_key, user_key, read_set, tencent_set, claims, claim_max, latest, frontier, solid, shown, sent, due, attempts, ack_due, ack_attempts) VALUES (2, 3, X'010600ACEA6036', X'00', NULL, 0, 0, 0, 0, 0, 0, NULL, 0, NULL, 0);
INSERT INTO tim_parked (room_id, user_id, event_id, thread_id, has_thread, since_ms) VALUES ('!team:a.test', '@ann:a.test', '$unknown', 'main', 1, 1772366400000);
INSERT INTO tim_parked (room_id, user_id, event_id, thread_id, has_thread, since_ms) VALUES ('!team:a.test', '@ben:a.test', '$unknown', '', 0, 1772366400000);
INSERT INTO tim_callback (user_key, group_key, seq, cursor, at_ms) VALUES (1, 1, 1, 41, 1772366400000);
INSERT INTO tim_callback (user_key, group_key, seq, cursor, at_ms) VALUES (2, 1, 2, 42, 1772366400000);
INSERT INTO timbridge_bridge_version (version, compat) VALUES (2, 2);
INSERT INTO tim_state (key, value) VALUES ('caught_up_2', '7');
INSERT INTO tim_state (key, value) VALUES ('cursor', '42');
INSERT INTO tim_state (key, value) VALUES ('cursor_floor', '39');
INSERT INTO tim_state (key, value) VALUES ('sync_token', 's72594_4483');
INSERT INTO tim_state (key, value) VALUES ('webhook', '1700000000000');
INSERT INTO tim_outbox (txn_id, group_key, user_key, seq, room_id, redacts, content, sent_at, due, attempts, sent_as) VALUES ('redact_$three', 1, 3, 0, '!team:a.test', '$three', '', 1772366400000, 1772366400000, 3, '');
INSERT INTO tim_outbox (txn_id, group_key, user_key, seq, room_id, redacts, content, sent_at, due, attempts, sent_as) VALUES ('tim_2_7_2', 2, 2, 7, '!cloud:a.test', '', '{"body":"hello"}', 1772366400000, 1772366400000, 0, '');
INSERT INTO tim_room_task (room_id, user_key, due, attempts) VALUES ('!team:a.test', 2, 1772366400000, 0);
INSERT INTO tim_feed (cursor, group_key, seq, at, body) VALUES (40, 1, 1, 1772366400000, '{"msgID":"m"}');
INSERT INTO tim_early_redaction (event_id, room_id, at) VALUES ('$early', '!team:a.test', 1772366400000);
INSERT INTO tim_relay (event_id, group_key, user_key, pos, kind, target, type, content, parts, part, random, tried, at, due, attempts, sent_as) VALUES ('$gap', 2, 3, 1, 'send', '', 'm.room.message', '{"body":"hi"}', '[]', 0, 99, 1, 1772366400000, 1772366400000, 0, '');
INSERT INTO tim_join (group_key, user_key, wanted, joined, due, attempts) VALUES (2, 3, 1, 0, 1772366400000, 1);
INSERT INTO tim_join (group_key, user_key, wanted, joined, due, attempts) VALUES (2, 5, 1, 1, NULL, 0);
INSERT INTO tim_pause (group_key, code, since, until) VALUES (2, 10059, 1772366400000, 1772370000000);
INSERT INTO tim_private (user_key) VALUES (2);
INSERT INTO mx_version (version, compat) VALUES (11, 3);
INSERT INTO mx_registrations (user_id) VALUES ('@tim_alice:a.test');
INSERT INTO mx_user_profile (room_id, user_id, membership, displayname, avatar_url, name_skeleton) VALUES ('!team:a.test', '@tim_alice:a.test', 'join', '', '', NULL);
CREATE INDEX tim_user_alias ON tim_user (alias_of) WHERE alias_of IS NOT NULL;
CREATE UNIQUE INDEX tim_member_open ON tim_member (user_key, group_key) WHERE left_seq IS NULL;
CREATE UNIQUE INDEX tim_message_event ON tim_message (event_id);
CREATE UNIQUE INDEX tim_message_msg_id ON tim_message (msg_id);
CREATE UNIQUE INDEX tim_message_place ON tim_message (room_key, pos);
CREATE UNIQUE INDEX tim_anchor_event ON tim_anchor (event_id);
CREATE INDEX tim_anchor_gap ON tim_anchor (room_key, pos) WHERE gap_ms IS NOT NULL;
CREATE INDEX tim_reader_due_idx ON tim_reader (due) WHERE due IS NOT NULL;
CREATE INDEX tim_reader_ack_idx ON tim_reader (ack_due) WHERE ack_due IS NOT NULL;
CREATE INDEX tim_parked_event_idx ON tim_parked (event_id);
CREATE INDEX tim_parked_since_idx ON tim_parked (since_ms);
CREATE INDEX tim_callback_cursor_idx ON tim_callback (user_key, cursor);
CREATE INDEX tim_callback_all_idx ON tim_callback (cursor);
CREATE INDEX tim_callback_at_idx ON tim_callback (at_ms);
CREATE INDEX tim_outbox_due_idx ON tim_outbox (due);
CREATE INDEX tim_outbox_message_idx ON tim_outbox (group_key, seq);
CREATE INDEX tim_room_task_due_idx ON tim_room_task (due);
CREATE INDEX tim_feed_group_idx ON tim_feed (group_key, cursor);
CREATE INDEX tim_feed_at_idx ON tim_feed (at);
CREATE INDEX tim_early_redaction_at_idx ON tim_early_redaction (at);
CREATE INDEX tim_relay_due_idx ON tim_relay (due);
CREATE INDEX tim_relay_sender_idx ON tim_relay (group_key, user_key, pos);
CREATE INDEX tim_join_due_idx ON tim_join (due) WHERE due IS NOT NULL;
CREATE INDEX mx_user_profile_membership_idx ON mx_user_profile (room_id, membership);
CREATE INDEX mx_user_profile_name_skeleton_idx ON mx_user_profile (room_id, name_skeleton);
