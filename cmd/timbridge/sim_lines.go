package main

import (
	"fmt"
	"strings"
	"sync"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// simDesk does what lines say, typed or posted. Safe for concurrent use.
type simDesk struct {
	server *tencenttest.Server
	quit   chan struct{} // closed when somebody quits
	once   sync.Once
}

func newSimDesk(server *tencenttest.Server) *simDesk {
	return &simDesk{server: server, quit: make(chan struct{})}
}

// simCommand is one thing that a line can say. Words are what follows its name,
// text the rest of the line after them.
type simCommand struct {
	name  string
	words []string // named as in the help; a last one with "…" takes all that follow, in brackets it may be left out
	text  bool     // the rest of the line is a text, and needed
	help  string
	run   func(words []string, text string) (string, error)
}

func (c simCommand) usage() string {
	parts := append([]string{c.name}, c.words...)
	if c.text {
		parts = append(parts, "TEXT…")
	}
	return strings.Join(parts, " ")
}

func (d *simDesk) commands() []simCommand {
	send := func(o tencenttest.SendOptions) func([]string, string) (string, error) {
		return func(words []string, text string) (string, error) { return d.send(words[0], words[1], text, o) }
	}
	return []simCommand{
		{"group create", []string{"GROUP", "OWNER", "[USER…]"}, false, "Make a group (GROUP -: Tencent chooses its ID); who is not there yet gets an account", d.createGroup},
		{"group destroy", []string{"GROUP"}, false, "Dismiss it", func(words []string, _ string) (string, error) { return "", d.server.DestroyGroup(words[0]) }},
		{"group name", []string{"GROUP"}, true, "Rename it", func(words []string, text string) (string, error) { return "", d.server.SetGroupName(words[0], text) }},
		{"groups", nil, false, "List the groups", d.groups},
		{"members", []string{"GROUP"}, false, "List the members", d.members},
		{"join", []string{"GROUP", "USER…"}, false, "They join", d.join},
		{"leave", []string{"GROUP", "USER…"}, false, "They leave", d.leave},
		{"nick", []string{"USER"}, true, "Set a user's nick", d.nick},
		{"send", []string{"GROUP", "USER"}, true, "Send a text that asks for receipts; @USER and @all mention", send(tencenttest.SendOptions{NeedReadReceipt: true})},
		{"send-plain", []string{"GROUP", "USER"}, true, "Send one that does not", send(tencenttest.SendOptions{})},
		{"send-online", []string{"GROUP", "USER"}, true, "Send one for those who are online only", send(tencenttest.SendOptions{OnlineOnly: true})},
		{"send-body", []string{"GROUP", "USER"}, true, "Send a MsgBody (TEXT is a JSON array) that asks for receipts", d.sendBody},
		{"edit", []string{"GROUP", "USER", "NO"}, true, "Change the text of a message", d.edit},
		{"recall", []string{"GROUP", "USER", "NO"}, false, "Take a message back", d.recall},
		{"ack", []string{"GROUP", "USER", "NO…"}, false, "Read messages (sendMessageReadReceipts): 3 4, 3-8, or all", d.ack},
		{"messages", []string{"GROUP"}, false, "List the messages, with how many have read them", d.messages},
		{"receipts", []string{"GROUP", "NO"}, false, "List who has read a message, and who has not", d.receipts},
		{"told", []string{"USER"}, false, "List what the user's app was told (onRecvMessageReadReceipts)", d.told},
		{"webhooks", []string{"on|off|twice"}, false, "Deliver webhooks, lose them, or deliver each twice", d.webhooks},
		{"network", []string{"on|off"}, false, "Cut timbridge off from Tencent, or not", d.network},
		{"help", nil, false, "List all this", d.help},
		{"quit", nil, false, "End", d.stop},
	}
}

// do does what one line says. Empty lines, and those that begin with #, say nothing.
func (d *simDesk) do(line string) (answer string, err error) {
	line = strings.TrimSpace(line)
	if line == "" || strings.HasPrefix(line, "#") {
		return "", nil
	}
	c, rest, err := d.find(line)
	if err != nil {
		return "", err
	}
	words, text, err := c.split(rest)
	if err != nil {
		return "", err
	}
	if answer, err = c.run(words, text); err != nil {
		return answer, fmt.Errorf("%s: %w", c.name, err)
	}
	if answer == "" {
		answer = "ok\n"
	}
	return answer, nil
}

func (d *simDesk) find(line string) (c simCommand, rest string, err error) {
	for _, c := range d.commands() {
		name, rest := "", line
		for range strings.Fields(c.name) {
			var word string
			word, rest = cutWord(rest)
			name = strings.TrimSpace(name + " " + word)
		}
		if name == c.name {
			return c, rest, nil
		}
	}
	word, _ := cutWord(line)
	return c, "", fmt.Errorf("there is no %q; help lists what there is", word)
}

// split takes the words that a command wants off its line.
func (c simCommand) split(rest string) (words []string, text string, err error) {
	needed := 0
	for _, name := range c.words {
		many := strings.Contains(name, "…")
		if !strings.HasPrefix(name, "[") {
			needed++
		}
		for range 1000 { // once, or as long as there is something
			var word string
			if word, rest = cutWord(rest); word != "" {
				words = append(words, word)
			}
			if !many || word == "" {
				break
			}
		}
	}
	if len(words) < needed || c.text != (rest != "") {
		return nil, "", fmt.Errorf("usage: %s", c.usage())
	}
	return words, rest, nil
}

func cutWord(line string) (word, rest string) {
	line = strings.TrimSpace(line)
	if at := strings.IndexAny(line, " \t"); at >= 0 {
		return line[:at], strings.TrimSpace(line[at:])
	}
	return line, ""
}

func (d *simDesk) help([]string, string) (string, error) {
	var b strings.Builder
	for _, c := range d.commands() {
		fmt.Fprintf(&b, "  %-34s %s\n", c.usage(), c.help)
	}
	return b.String(), nil
}

func (d *simDesk) stop([]string, string) (string, error) {
	d.once.Do(func() { close(d.quit) })
	return "bye\n", nil
}
