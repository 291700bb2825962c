package receipts

// Reader is what is known of one reader in one group. The zero value is a reader
// of whom nothing is known. A Reader is not safe for concurrent use.
//
// All its fields only rise but Frontier and Solid, which [Reader.Lower] takes back
// when something turns up below them.
type Reader struct {
	// Read is what he has read, own messages and those without receipt included:
	// merging filters nothing.
	Read Set
	// Tencent is the part of Read that Tencent is known to have.
	Tencent Set
	// Claims is what he told Matrix himself.
	Claims Claims
	// Latest is the highest place of a message in Read (see Note).
	Latest Pos
	// Frontier: everything at or below it has been read or is excused (see Advance).
	Frontier Pos
	// Solid is the highest place at or below Frontier of a message in Read.
	Solid Pos
	// Shown is the place of the event that Matrix is known to show for him. The
	// answer 200 to a receipt is no such knowledge: Synapse answers so to receipts
	// that it ignores.
	Shown Pos
	// Sent is the place of the event last sent as his receipt; it is committed
	// before the request goes out.
	Sent Pos
}

// Add takes news from the Matrix side into Read and returns what was new.
func (r *Reader) Add(s Set) (news Set) {
	news = s.Difference(r.Read)
	r.Read = r.Read.Union(news)
	return news
}

// AddTencent takes what Tencent said, or has been told, into Read and Tencent.
// It returns what was new in Read.
func (r *Reader) AddTencent(s Set) (news Set) {
	r.Tencent = r.Tencent.Union(s)
	return r.Add(s)
}

// Note tells of messages that have, or now have, a place: those in Read raise
// Latest and, at or below Frontier, Solid. Messages not in Read, recalled ones and
// those without a place are passed over, so it may be given any messages in any
// order, again and again. Call it with every message newly in Read, and with every
// message of Read that has just got its place.
//
// Whether a message was recalled counts at the time of the call: what it raised
// before stays.
func (r *Reader) Note(ms ...Message) {
	for i := range ms {
		m := &ms[i]
		if m.Recalled || m.Pos <= 0 || !r.Read.Contains(m.Seq) {
			continue
		}
		r.Latest = max(r.Latest, m.Pos)
		if m.Pos <= r.Frontier {
			r.Solid = max(r.Solid, m.Pos)
		}
	}
}

// Expand adds to Read those messages of ms that Claims cover and that were sent
// while he was a member, and notes them. It returns what was new in Read. The
// floor stands in where the place of a join is not known (see
// [Membership.AtPos]). For a ghost it does nothing, since what Matrix shows for a
// ghost is our own doing; nor for somebody who is not known to be a member.
//
// Call it with all messages at or below a claim that rose, and with every message
// that has just got its place.
func (r *Reader) Expand(kind Kind, m Membership, floor Pos, ms []Message) (news Set) {
	if kind == KindGhost || r.Claims.IsZero() || len(m) == 0 {
		return Set{}
	}
	var seqs []MsgSeq
	for _, msg := range ms {
		if r.Claims.Covers(msg) && m.AtPos(msg.Pos, floor) {
			seqs = append(seqs, msg.Seq)
		}
	}
	news = r.Add(SetOf(seqs...))
	r.Note(ms...)
	return news
}

// IsOwnEcho reports whether a receipt at p under his name may be nothing but our
// own output come back. For a ghost it always is. For a linked user it is so at or
// below what we sent for him: such a receipt says nothing that could be told from
// our echo, so taking it as his word might acknowledge what he has not read. For
// an account we send nothing. An echo must not raise Claims; it is the evidence
// for Shown.
func (r *Reader) IsOwnEcho(kind Kind, p Pos) bool {
	switch kind {
	case KindGhost:
		return true
	case KindLinked:
		return p <= r.Sent
	default:
		return false
	}
}

// Insert tells that an event has turned out to stand right before the one at p and
// gets its place, so that all places from p on are one higher now. Of the event
// itself it says nothing: that is for Expand, Note and Lower, as with every message
// that has just got its place.
func (r *Reader) Insert(p Pos) {
	r.Claims = r.Claims.insert(p)
	for _, at := range []*Pos{&r.Latest, &r.Frontier, &r.Solid, &r.Shown, &r.Sent} {
		*at = at.insert(p)
	}
}

func (at Pos) insert(p Pos) Pos {
	if at >= p {
		at++
	}
	return at
}

// Unite takes over the row of the account that the same person had before he was
// linked: what that account read and claimed is now his. What Tencent has stays
// that of r, because the account was another Tencent user. Matrix now shows the
// account's marker, as it is the account's Matrix user who stays. Frontier and
// Solid start again, since messages of both are now his own: Advance from 0.
func (r *Reader) Unite(account Reader) {
	r.Add(account.Read)
	r.Claims = r.Claims.Union(account.Claims)
	r.Latest = max(r.Latest, account.Latest)
	r.Shown, r.Sent = account.Shown, account.Sent
	r.Frontier, r.Solid = 0, 0
}
