package bridge

import "strings"

// The verbs of commands.
const (
	verbHelp       = "help"
	verbStatus     = "status"
	verbLink       = "link"
	verbUnlink     = "unlink"
	verbReceipts   = "receipts"
	verbMyReceipts = "my-receipts"
)

// commandRequest is one command as understood.
type commandRequest struct {
	verb string
	// groupID is what is to be linked, as written.
	groupID string
	// on is what is to be switched on (or off), toMatrix and toTencent in which directions.
	on, toMatrix, toTencent bool
}

// parseCommand reads what follows the prefix, see commandText. ok is false if it is no command that there is; the request then holds
// the verb, if that at least is known, for which commandUsage has something to say.
func parseCommand(text string) (req commandRequest, ok bool) {
	word, rest := cutWord(text)
	req.verb = strings.ToLower(word)
	switch req.verb {
	case "":
		return commandRequest{verb: verbHelp}, true
	case verbHelp, verbStatus, verbUnlink:
		return req, rest == ""
	case verbLink: // a group's ID may hold spaces
		req.groupID = rest
		return req, rest != ""
	case verbReceipts:
		word, rest = cutWord(rest)
		var known bool
		req.on, known = onOff(word)
		switch strings.ToLower(rest) {
		case "":
			req.toMatrix, req.toTencent = true, true
		case "to-matrix":
			req.toMatrix = true
		case "to-tencent":
			req.toTencent = true
		default:
			known = false
		}
		return req, known
	case verbMyReceipts:
		req.on, ok = onOff(rest)
		return req, ok
	}
	return commandRequest{}, false
}

// cutWord splits off the first word; what follows is trimmed.
func cutWord(text string) (word, rest string) {
	text = strings.TrimSpace(text)
	if fields := strings.Fields(text); len(fields) > 0 {
		word = fields[0]
	}
	return word, strings.TrimSpace(text[len(word):])
}

func onOff(word string) (on, ok bool) {
	switch strings.ToLower(word) {
	case "on":
		return true, true
	case "off":
		return false, true
	}
	return false, false
}

// commandLines is how commands are written, by verb, in the order of the help.
func commandLines() []struct{ verb, args, does string } {
	return []struct{ verb, args, does string }{
		{verbHelp, "", "shows this"},
		{verbStatus, "", "shows what this room is linked to and how it goes"},
		{verbLink, "GROUPID", "links this room with a Tencent group"},
		{verbUnlink, "", "ends the link"},
		{verbReceipts, "on|off [to-tencent|to-matrix]", "switches the read receipts of this room, one direction or both"},
		{verbMyReceipts, "on|off", "says whether your own read receipts cross"},
	}
}

// commandUsage is the help, or the line of one verb.
func commandUsage(prefix, verb string) string {
	prefix = strings.TrimSpace(prefix)
	var help strings.Builder
	for _, line := range commandLines() {
		written := strings.TrimSpace(prefix + " " + line.verb + " " + line.args)
		if line.verb == verb && verb != verbHelp {
			return "That is written: " + written
		}
		help.WriteString(written + " – " + line.does + "\n")
	}
	return help.String() + "Who may change this room's settings may link and unlink it and switch its receipts; the rest is for everybody."
}
