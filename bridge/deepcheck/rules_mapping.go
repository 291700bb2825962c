package deepcheck

func groupRules() []rule {
	return []rule{
		{"group %v: its last number is %v, but there is message %v", `SELECT group_id, last_seq, highest FROM
			(SELECT group_id, last_seq, (SELECT MAX(seq) FROM tim_message m WHERE m.group_key = g.group_key) AS highest FROM tim_group g) AS seen
			WHERE highest > last_seq OR last_seq < 0`},
		{"group %v: it counts %v messages and has %v", `SELECT group_id, messages, n FROM
			(SELECT group_id, messages, (SELECT COUNT(*) FROM tim_message m WHERE m.group_key = g.group_key) AS n FROM tim_group g) AS seen WHERE messages <> n`},
		{"group %v: its numbers come from %v, which is no source", `SELECT group_id, seq_source FROM tim_group WHERE seq_source NOT IN ('own', 'stamped', 'cloud')`},
		{"room %v is that of %v groups, the first is %v", `SELECT room_key, COUNT(*), MIN(group_id) FROM tim_group` + notIndexed + `
			WHERE room_key IS NOT NULL GROUP BY room_key HAVING COUNT(*) > 1`},
		{"group %v: it has no room, but a place %v at which it was linked", `SELECT group_id, linked_pos FROM tim_group
			WHERE linked_pos IS NOT NULL AND room_key IS NULL OR linked_pos < 0`},
		{"group %v: its room %v is none that is known", `SELECT group_id, room_key FROM tim_group g
			WHERE room_key IS NOT NULL AND NOT EXISTS (SELECT 1 FROM tim_room r WHERE r.room_key = g.room_key)`},
	}
}

func roomRules() []rule {
	return []rule{
		{"room %v: its last place is %v, but there is a message at %v", `SELECT room_id, last_pos, highest FROM
			(SELECT room_id, last_pos, (SELECT MAX(pos) FROM tim_message m WHERE m.room_key = r.room_key) AS highest FROM tim_room r) AS seen
			WHERE highest > last_pos OR last_pos < 0`},
		{"room %v: its last place is %v, but there is an event at %v", `SELECT room_id, last_pos, highest FROM
			(SELECT room_id, last_pos, (SELECT MAX(pos) FROM tim_anchor a WHERE a.room_key = r.room_key) AS highest FROM tim_room r) AS seen WHERE highest > last_pos`},
		{"room %v: it counts %v further events and has %v", `SELECT room_id, anchors, n FROM
			(SELECT room_id, anchors, (SELECT COUNT(*) FROM tim_anchor a WHERE a.room_key = r.room_key) AS n FROM tim_room r) AS seen WHERE n > anchors`},
		{"room %v: an event and a message are both at place %v", `SELECT r.room_id, a.pos FROM tim_anchor a JOIN tim_message m ON m.room_key = a.room_key AND m.pos = a.pos
			JOIN tim_room r ON r.room_key = a.room_key WHERE NOT a.borrowed`},
	}
}

func userRules() []rule {
	return []rule{
		{"user %v: %v is no kind of user", `SELECT user_id, kind FROM tim_user WHERE kind NOT IN (0, 1, 2)`},
		{"user %v: he is nobody in Matrix", `SELECT user_id FROM tim_user WHERE (mxid IS NULL OR mxid = '') AND alias_of IS NULL`},
		{"user %v: he has become part of %v and still is %v in Matrix", `SELECT u.user_id, COALESCE(a.user_id, 'nobody'), u.mxid
			FROM tim_user u LEFT JOIN tim_user a ON a.user_key = u.alias_of WHERE u.alias_of IS NOT NULL AND u.mxid IS NOT NULL`},
		{"user %v: he has become part of %v, who is not linked", `SELECT u.user_id, COALESCE(a.user_id, 'nobody')
			FROM tim_user u LEFT JOIN tim_user a ON a.user_key = u.alias_of
			WHERE u.alias_of IS NOT NULL AND (a.user_key IS NULL OR a.alias_of IS NOT NULL OR a.kind <> 2 OR u.kind <> 1)`},
	}
}

// memberNames is from whom the rules of members take their first two columns.
const memberNames = `SELECT COALESCE(g.group_id, CAST(m.group_key AS TEXT)), COALESCE(u.user_id, CAST(m.user_key AS TEXT)), `

const memberTables = ` FROM tim_member m LEFT JOIN tim_group g ON g.group_key = m.group_key LEFT JOIN tim_user u ON u.user_key = m.user_key WHERE `

func memberRules() []rule {
	return []rule{
		{"group %v, user %v: he is a member, and one or the other is not known (stay %v)", memberNames + `m.stay` + memberTables + `g.group_key IS NULL OR u.user_key IS NULL`},
		{"group %v, user %v: he left at message %v and at place %v, of which one is missing", memberNames + `m.left_seq, m.left_pos` + memberTables +
			`(m.left_seq IS NULL) <> (m.left_pos IS NULL)`},
		{"group %v, user %v: he joined after message %v and left after %v", memberNames + `m.joined_seq, m.left_seq` + memberTables +
			`m.left_seq < m.joined_seq OR m.joined_seq < 0`},
		{"group %v, user %v: he joined after place %v and left after %v", memberNames + `m.joined_pos, m.left_pos` + memberTables +
			`m.left_pos < m.joined_pos AND m.left_pos <> 0 OR m.joined_pos < 0`},
	}
}

const messageNames = `SELECT COALESCE(g.group_id, CAST(m.group_key AS TEXT)), m.seq`

const messageTables = ` FROM tim_message m LEFT JOIN tim_group g ON g.group_key = m.group_key WHERE `

func messageRules() []rule {
	return []rule{
		{"group %v, message %v: there is no such group", messageNames + messageTables + `g.group_key IS NULL`},
		{"group %v, message %v: it has a place without an event, or an event without a room", messageNames + messageTables +
			`m.pos IS NOT NULL AND m.event_id IS NULL OR m.event_id IS NOT NULL AND m.room_key IS NULL`},
		{"group %v, message %v: its number or place %v is none", messageNames + `, m.pos` + messageTables + `m.seq < 1 OR m.pos < 1`},
		{"group %v, message %v: %v is nothing that can be said of a message", messageNames + `, m.flags` + messageTables +
			`m.flags < 0 OR m.flags > 15 OR (m.flags & 3) = 3`},
		{"group %v, message %v: its room is unknown", messageNames + messageTables +
			`m.room_key IS NOT NULL AND NOT EXISTS (SELECT 1 FROM tim_room r WHERE r.room_key = m.room_key)`},
		{"group %v, message %v: its sender is unknown", messageNames + messageTables +
			`m.sender IS NOT NULL AND NOT EXISTS (SELECT 1 FROM tim_user u WHERE u.user_key = m.sender)`},
	}
}
