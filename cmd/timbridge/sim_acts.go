package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// What the lines of sim do. Each takes the words and the text of its line and
// returns what to answer, "" for ok.

func (d *simDesk) createGroup(words []string, _ string) (string, error) {
	spec := tencenttest.GroupSpec{ID: words[0], Owner: words[1], Members: words[2:]}
	if spec.ID == "-" {
		spec.ID = ""
	}
	groupID, err := d.server.CreateGroup(spec)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("group %s with %s\n", groupID, strings.Join(d.server.Members(groupID), " ")), nil
}

func (d *simDesk) groups([]string, string) (string, error) {
	var b strings.Builder
	for _, groupID := range d.server.Groups() {
		fmt.Fprintf(&b, "%s  %d members, last message no. %d\n", groupID, len(d.server.Members(groupID)), d.server.LastSeq(groupID))
	}
	return orNone(&b, "groups"), nil
}

func orNone(b *strings.Builder, what string) string {
	if b.Len() == 0 {
		return "no " + what + "\n"
	}
	return b.String()
}

// known refuses a group that is not there, which the fake shows as an empty one.
func (d *simDesk) known(groupID string) error {
	if !slices.Contains(d.server.Groups(), groupID) {
		return fmt.Errorf("there is no group %s", groupID)
	}
	return nil
}

func (d *simDesk) members(words []string, _ string) (string, error) {
	if err := d.known(words[0]); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, user := range d.server.Members(words[0]) {
		b.WriteString(user)
		if nick, _, _ := d.server.Profile(user); nick != "" {
			fmt.Fprintf(&b, "  %s", nick)
		}
		b.WriteByte('\n')
	}
	return orNone(&b, "members"), nil
}

func (d *simDesk) join(words []string, _ string) (string, error) {
	return d.each(words[1:], func(u *tencenttest.User) error { return u.Join(words[0]) })
}

func (d *simDesk) leave(words []string, _ string) (string, error) {
	return d.each(words[1:], func(u *tencenttest.User) error { return u.Leave(words[0]) })
}

func (d *simDesk) each(users []string, act func(*tencenttest.User) error) (string, error) {
	var failed []error
	for _, user := range users {
		if err := act(d.server.User(user)); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", user, err))
		}
	}
	return "", errors.Join(failed...)
}

func (d *simDesk) nick(words []string, text string) (string, error) {
	user := d.server.User(words[0])
	_, faceURL, _ := d.server.Profile(words[0])
	user.SetProfile(text, faceURL)
	return "", nil
}

func (d *simDesk) send(groupID, user, text string, o tencenttest.SendOptions) (string, error) {
	members := d.server.Members(groupID)
	for _, word := range strings.Fields(text) {
		switch name, at := strings.CutPrefix(word, "@"); {
		case at && name == "all":
			o.At = append(o.At, "")
		case at && slices.Contains(members, name):
			o.At = append(o.At, name)
		}
	}
	m, err := d.server.User(user).Send(groupID, text, o)
	if err != nil {
		return "", err
	}
	asked := ""
	if o.NeedReadReceipt && !m.HasReceipt {
		asked = ", without receipts"
	}
	return fmt.Sprintf("no. %d, msgID %s%s\n", m.Seq, m.MsgID, asked), nil
}

func (d *simDesk) sendBody(words []string, text string) (string, error) {
	if !json.Valid([]byte(text)) {
		return "", errors.New("the body is not JSON")
	}
	return d.send(words[0], words[1], "", tencenttest.SendOptions{NeedReadReceipt: true, Body: json.RawMessage(text)})
}

func (d *simDesk) edit(words []string, text string) (string, error) {
	seq, err := parseSeq(words[2])
	if err != nil {
		return "", err
	}
	return "", d.server.User(words[1]).Edit(words[0], seq, text)
}

func (d *simDesk) recall(words []string, _ string) (string, error) {
	seq, err := parseSeq(words[2])
	if err != nil {
		return "", err
	}
	return "", d.server.User(words[1]).Recall(words[0], seq)
}

func parseSeq(word string) (uint64, error) {
	seq, err := strconv.ParseUint(word, 10, 64)
	if err != nil || seq == 0 {
		return 0, fmt.Errorf("%q is no number of a message", word)
	}
	return seq, nil
}

func (d *simDesk) ack(words []string, _ string) (string, error) {
	groupID, user := words[0], words[1]
	seqs, err := d.seqs(groupID, user, words[2:])
	if err != nil {
		return "", err
	}
	if len(seqs) == 0 {
		return "nothing to read\n", nil
	}
	return "", d.server.User(user).Ack(groupID, seqs...)
}

// seqs reads what messages are meant: numbers, ranges, or all of others that have receipts.
func (d *simDesk) seqs(groupID, user string, words []string) (seqs []uint64, err error) {
	if err = d.known(groupID); err != nil {
		return nil, err
	}
	for _, word := range words {
		if word == "all" {
			for _, m := range d.server.Messages(groupID) {
				if m.HasReceipt && !m.Recalled && m.From != user {
					seqs = append(seqs, m.Seq)
				}
			}
			continue
		}
		first, last, isRange := strings.Cut(word, "-")
		from, err := parseSeq(first)
		if err != nil {
			return nil, err
		}
		to := from
		if isRange {
			if to, err = parseSeq(last); err != nil {
				return nil, err
			}
		}
		if to < from || to-from >= 1000 {
			return nil, fmt.Errorf("%s is no range of at most 1000 messages", word)
		}
		for seq := from; seq <= to; seq++ {
			seqs = append(seqs, seq)
		}
	}
	return seqs, nil
}

func (d *simDesk) messages(words []string, _ string) (string, error) {
	if err := d.known(words[0]); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, m := range d.server.Messages(words[0]) {
		text := strconv.Quote(m.Text)
		if m.Text == "" {
			text = string(m.Body)
		}
		fmt.Fprintf(&b, "%4d  %s  %s  %s  %s\n", m.Seq, m.Time.Format(time.TimeOnly), m.From, d.state(m), text)
	}
	return orNone(&b, "messages"), nil
}

// state says what became of a message.
func (d *simDesk) state(m tencenttest.Message) string {
	state := "no receipts"
	switch {
	case m.OnlineOnly:
		state = "online only"
	case m.HasReceipt:
		read, unread := d.server.Counts(m.GroupID, m.Seq)
		state = fmt.Sprintf("read by %d, not by %d", read, unread)
	}
	if m.Edited {
		state += ", edited"
	}
	if m.Recalled {
		state += ", recalled"
	}
	return state
}

func (d *simDesk) receipts(words []string, _ string) (string, error) {
	seq, err := parseSeq(words[1])
	if err != nil {
		return "", err
	}
	m, ok := d.server.Message(words[0], seq)
	if !ok {
		return "", fmt.Errorf("there is no message %d in group %s", seq, words[0])
	}
	if !m.HasReceipt {
		return "no receipts\n", nil
	}
	list := func(users []string) string {
		return strings.TrimRight(fmt.Sprintf("%d  %s", len(users), strings.Join(users, " ")), " ")
	}
	return fmt.Sprintf("read by  %s\nnot by   %s\n", list(d.server.ReadBy(words[0], seq)), list(d.server.UnreadBy(words[0], seq))), nil
}

func (d *simDesk) told(words []string, _ string) (string, error) {
	var b strings.Builder
	for _, r := range d.server.User(words[0]).Receipts() {
		fmt.Fprintf(&b, "group %s, no. %d: read by %d, not by %d\n", r.GroupID, r.Seq, r.ReadCount, r.UnreadCount)
	}
	return orNone(&b, "receipts"), nil
}

func (d *simDesk) webhooks(words []string, _ string) (string, error) {
	switch words[0] {
	case "on":
		d.server.Deliver(nil)
	case "off":
		d.server.Deliver(tencenttest.Nothing)
	case "twice":
		d.server.Deliver(tencenttest.Twice)
	default:
		return "", errors.New("it is on, off or twice")
	}
	return "", nil
}

func (d *simDesk) network(words []string, _ string) (string, error) {
	if words[0] != "on" && words[0] != "off" {
		return "", errors.New("it is on or off")
	}
	d.server.SetOutage(words[0] == "off")
	return "", nil
}
