package receipts

import "slices"

// MaxAcksPerCall is the most messages that one call of group_msg_receipt may
// name, all of one group. Source:
// https://cloud.tencent.com/document/product/269/107478.
const MaxAcksPerCall = 50

// Marker is the place of the event that Matrix should show for him. For a ghost
// it is Latest or, with PolicyContiguous, Solid. For a linked user it is always
// Solid, so that his own marker coming back can add nothing. For an account there
// is nothing to send. It is never below Shown: a marker does not move back.
func (r Reader) Marker(kind Kind, policy Policy) Pos {
	var want Pos
	switch {
	case kind == KindLinked, kind == KindGhost && policy == PolicyContiguous:
		want = r.Solid
	case kind == KindGhost:
		want = r.Latest
	}
	return max(want, r.Shown)
}

// MarkerPending returns Marker and whether Matrix has yet to be told of it. It has
// not while Marker is below Sent, which happens when something has turned up below
// the frontier since: nobody knows whether what was sent has arrived, and where a
// server lets markers move back (Dendrite 0.15.2 does) this one would. If the
// frontier has come back to Sent (the message there was recalled meanwhile, so that
// Marker stays below it) then what was sent is true still, and is what Matrix is told.
func (r Reader) MarkerPending(kind Kind, policy Policy) (Pos, bool) {
	p := r.Marker(kind, policy)
	if p < r.Sent && r.Sent <= r.Frontier && (kind == KindLinked || kind == KindGhost) {
		p = r.Sent
	}
	return p, p > r.Shown && p >= r.Sent
}

// PendingAcks returns the messages of ms, rising, that Tencent should be told he
// has read: read, not known to Tencent, known to want a receipt, known to be of
// somebody else than self, not recalled, not online-only, and sent while he was a
// member (see [Membership.Concerns]). Somebody who is not a member now has none: Tencent would refuse them.
func (r Reader) PendingAcks(self UserKey, m Membership, ms []Message) []MsgSeq {
	if !m.IsMember() {
		return nil
	}
	open := r.Read.Difference(r.Tencent)
	if open.IsEmpty() {
		return nil
	}
	var seqs []MsgSeq
	for _, msg := range ms {
		if msg.Wants == WantsYes && msg.Sender != 0 && msg.mayNeed(self) && open.Contains(msg.Seq) && m.Concerns(msg) {
			seqs = append(seqs, msg.Seq)
		}
	}
	slices.Sort(seqs)
	return slices.Compact(seqs)
}

// SettleTencent adds to Tencent those messages of ms that Tencent need never be told of: his own, and those known to
// be without receipt. What is open (Read without Tencent) stays small so. It returns whether that changed
// anything. Messages that he has not read are passed over, so that Tencent stays a part of Read.
func (r *Reader) SettleTencent(self UserKey, ms []Message) bool {
	var seqs []MsgSeq
	for _, msg := range ms {
		if !msg.mayNeed(self) && r.Read.Contains(msg.Seq) && !r.Tencent.Contains(msg.Seq) {
			seqs = append(seqs, msg.Seq)
		}
	}
	r.Tencent = r.Tencent.Union(SetOf(seqs...))
	return len(seqs) > 0
}

// Undecided returns the messages of ms, rising, that would be pending (see PendingAcks) if only they were known
// to want a receipt.
func (r Reader) Undecided(self UserKey, m Membership, ms []Message) []MsgSeq {
	var unknown []Message
	for _, msg := range ms {
		if msg.Wants == WantsUnknown {
			msg.Wants = WantsYes
			unknown = append(unknown, msg)
		}
	}
	return r.PendingAcks(self, m, unknown)
}
