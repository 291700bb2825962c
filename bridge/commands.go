package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
)

// This file takes what users say to the bot in a room and sees to it that each command is done and answered once.
// commands_parse.go reads commands, commands_do.go does them.

// Bounds on commands. What is beyond them is dropped, with a line in the log; the user sees no answer and can ask again.
const (
	maxCommands        = 64 // waiting or under way, in all rooms
	maxRoomCommands    = 8  // of one room
	rememberedCommands = 512
	commandTimeout     = time.Minute      // to do one
	answerTimeout      = 30 * time.Second // to answer one
	answerAttempts     = 3
)

// commands are the commands that wait or are under way, one at a time in each room, and the last ones taken, of which a repetition is
// not done again. All is in memory: what a crash cuts off is asked again by its user. The zero value is ready for use; it is safe
// for concurrent use.
type commands struct {
	mu      sync.Mutex
	waiting map[id.RoomID][]matrix.Event // by room in which something is under way: what comes after it
	count   int
	seen    map[id.EventID]struct{}
	ring    []id.EventID // seen, in the order in which they came, once full from place oldest on
	oldest  int
}

// What stands in the way of taking a command.
var (
	errKnownCommand    = errors.New("it has been taken before")
	errTooManyCommands = errors.New("too many commands are waiting")
)

// put takes a command. start tells that nothing is under way in its room, so that the caller has to do it and then what next gives.
func (c *commands) put(ev matrix.Event) (start bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.seen[ev.ID]; known {
		return false, errKnownCommand
	}
	line, busy := c.waiting[ev.RoomID]
	if c.count >= maxCommands || len(line) >= maxRoomCommands-1 {
		return false, errTooManyCommands
	}
	c.remember(ev.ID)
	c.count++
	if c.waiting == nil {
		c.waiting = make(map[id.RoomID][]matrix.Event)
	}
	if busy {
		line = append(line, ev)
	}
	c.waiting[ev.RoomID] = line
	return !busy, nil
}

func (c *commands) remember(event id.EventID) {
	if c.seen == nil {
		c.seen = make(map[id.EventID]struct{}, rememberedCommands)
	}
	if len(c.ring) < rememberedCommands {
		c.ring = append(c.ring, event)
	} else {
		delete(c.seen, c.ring[c.oldest])
		c.ring[c.oldest] = event
		c.oldest = (c.oldest + 1) % rememberedCommands
	}
	c.seen[event] = struct{}{}
}

// next ends the command under way in a room and gives the one after it.
func (c *commands) next(room id.RoomID) (ev matrix.Event, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count--
	line := c.waiting[room]
	if len(line) == 0 {
		delete(c.waiting, room)
		return ev, false
	}
	c.waiting[room] = line[1:]
	return line[0], true
}

// isCommand tells whether an event is a command to the bot and not a message: a new m.text by a user who is none of ours nor another
// bridge's, whose text begins with the command prefix as a word of its own. What carries a stamp came from Tencent, whoever sent
// it here in whose name, and is a message. It asks nobody; the room need not be a group's.
func (b *Bridge) isCommand(ev *matrix.Event) bool {
	if ev.Type != "m.room.message" || ev.IsState() || ev.Redacted || ev.RelType == "m.replace" {
		return false
	}
	if _, ok := commandText(b.cfg.Bridge.CommandPrefix, ev.Content); !ok {
		return false
	}
	return !b.hs.IsGhost(ev.Sender) && !b.ownBot(ev.Sender) && !b.stampSenders.Match(ev.Sender.String())
}

// commandText returns what follows the prefix in the first line of a text message; ok is false if it is no command.
func commandText(prefix string, content json.RawMessage) (text string, ok bool) {
	// Most messages are none: look before parsing. A backslash may hide one.
	if prefix = strings.TrimSpace(prefix); !bytes.Contains(content, []byte(prefix)) && bytes.IndexByte(content, '\\') < 0 {
		return "", false
	}
	// Keys are matched exactly, as clients do: what other users see is what counts.
	var fields map[string]json.RawMessage
	if json.Unmarshal(content, &fields) != nil {
		return "", false
	}
	if _, stamped := fields[mapping.StampKey]; stamped {
		return "", false
	}
	var msgType, body string
	if json.Unmarshal(fields["msgtype"], &msgType) != nil || msgType != "m.text" || json.Unmarshal(fields["body"], &body) != nil {
		return "", false
	}
	text, ok = strings.CutPrefix(body, prefix)
	first, _ := utf8.DecodeRuneInString(text)
	if !ok || text != "" && !unicode.IsSpace(first) {
		return "", false
	}
	text, _, _ = strings.Cut(text, "\n")
	return strings.TrimSpace(text), true
}

// command has an event for which isCommand is true done and answered, for nobody who waits. The same event again does nothing.
func (b *Bridge) command(ev matrix.Event) {
	start, err := b.commands.put(ev)
	if errors.Is(err, errTooManyCommands) {
		b.log.Warn().Err(err).Stringer("room_id", ev.RoomID).Stringer("event_id", ev.ID).Stringer("user_id", ev.Sender).Msg("Dropped a command")
	}
	if err != nil || !start {
		return
	}
	b.mu.Lock() // background work is begun before the bridge stops, or not at all
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return
	}
	b.tasks.Go(func() {
		for ok := true; ok; ev, ok = b.commands.next(ev.RoomID) {
			b.runCommand(ev)
		}
	})
}

func (b *Bridge) runCommand(ev matrix.Event) {
	log := b.log.With().Stringer("room_id", ev.RoomID).Stringer("event_id", ev.ID).Stringer("user_id", ev.Sender).Logger()
	ctx, cancel := context.WithTimeout(log.WithContext(b.ctx), commandTimeout)
	text := b.doCommand(ctx, ev)
	cancel()
	ctx, cancel = context.WithTimeout(log.WithContext(b.ctx), answerTimeout)
	defer cancel()
	if err := b.say(ctx, ev.RoomID, text, "command_"+ev.ID.String()); err != nil && b.ctx.Err() == nil {
		log.Warn().Err(err).Msg("Failed to answer a command")
	}
}

// say sends a notice, a few times if it must; by txnID it arrives once.
func (b *Bridge) say(ctx context.Context, room id.RoomID, text, txnID string) error {
	for attempt := 0; ; attempt++ {
		err := b.hs.SendNotice(ctx, room, text, txnID)
		var temporary *matrix.TemporaryError
		if !errors.As(err, &temporary) || attempt+1 == answerAttempts {
			return err
		}
		zerolog.Ctx(ctx).Debug().Err(err).Msg("Failed to send a notice, trying again")
		if !sleep(ctx, backoff(attempt, temporary.RetryAfter)) {
			return err
		}
	}
}
