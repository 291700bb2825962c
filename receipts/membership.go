package receipts

// Interval is one stay in a group. It is known on both sides: the seqs of the
// messages sent meanwhile, and the places of their events in the room. He was a
// member of the messages above Joined and, once he has Left, up to Left included.
type Interval struct {
	// JoinedSeq is the last message before he joined, 0 if he was there from the
	// first on.
	JoinedSeq MsgSeq
	// JoinedPos is the last place in the room before he joined. It means something
	// only with JoinedPosKnown.
	JoinedPos      Pos
	JoinedPosKnown bool
	// LeftSeq and LeftPos are the last message and place before he left. They mean
	// something only with Left. A LeftPos of 0 holds no place at all.
	LeftSeq MsgSeq
	LeftPos Pos
	Left    bool
}

// Membership is all stays of one user in a group, in any order. The empty
// Membership is of somebody who is not known to have been a member.
type Membership []Interval

// IsMember reports whether he is a member now.
func (m Membership) IsMember() bool {
	for _, i := range m {
		if !i.Left {
			return true
		}
	}
	return false
}

// AtSeq reports whether he was a member when the message seq was sent.
func (m Membership) AtSeq(seq MsgSeq) bool {
	for _, i := range m {
		if i.JoinedSeq < seq && (!i.Left || seq <= i.LeftSeq) {
			return true
		}
	}
	return false
}

// AtPos reports whether he was a member when the event at p came. The floor is
// used for stays whose JoinedPos is not known: the place at which the group was
// linked, else what [WindowFloor] says.
func (m Membership) AtPos(p, floor Pos) bool {
	for _, i := range m {
		if i.from(floor) < p && (!i.Left || p <= i.LeftPos) {
			return true
		}
	}
	return false
}

// Concerns reports whether he was a member when m was sent: by its seq, or by its
// place in the room where the place of his joining is known. A message that was on
// its way to the room when he came counts as sent before by seq, as it had its seq
// already when his joining was heard of; in the room it stands after him, and he
// can read it.
func (m Membership) Concerns(msg Message) bool {
	if m.AtSeq(msg.Seq) {
		return true
	}
	for _, i := range m {
		if msg.Pos > 0 && i.JoinedPosKnown && (Membership{i}).AtPos(msg.Pos, 0) {
			return true
		}
	}
	return false
}

// Floor returns the place before his first stay: nothing at or below it concerns
// him. The given floor is used for stays whose JoinedPos is not known, and returned
// for somebody without stays.
func (m Membership) Floor(floor Pos) Pos {
	if len(m) == 0 {
		return floor
	}
	first := m[0].from(floor)
	for _, i := range m[1:] {
		first = min(first, i.from(floor))
	}
	return first
}

func (i Interval) from(floor Pos) Pos {
	if i.JoinedPosKnown {
		return i.JoinedPos
	}
	return floor
}

// DefaultWindow is how many messages [WindowFloor] lets a claim reach back over
// when nothing better is known.
const DefaultWindow = 100

// WindowFloor returns a floor below the last n messages known to want a receipt,
// for the case that neither the place at which a reader joined nor that at which
// the group was linked is known: without it a first receipt in an old room would
// acknowledge its whole history. ms are messages at or below the claimed place,
// in falling order of Pos; those that are not known to want a receipt are passed
// over. With fewer than n the floor is 0. An n below 1 means [DefaultWindow].
//
// The window slides with the room, so it is the one rule here whose outcome
// depends on when it is applied.
func WindowFloor(ms []Message, n int) Pos {
	if n < 1 {
		n = DefaultWindow
	}
	for _, m := range ms {
		if m.Wants != WantsYes || m.Pos <= 0 {
			continue
		}
		if n--; n == 0 {
			return m.Pos - 1
		}
	}
	return 0
}
