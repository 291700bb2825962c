package mapping

import (
	"encoding/json"
)

// Relation types that matter here.
const (
	relThread  = "m.thread"  // https://spec.matrix.org/v1.19/client-server-api/#threading
	relReplace = "m.replace" // https://spec.matrix.org/v1.19/client-server-api/#event-replacements
)

// maxContent is the largest content that is looked into. An event has at most
// 65,535 bytes (https://spec.matrix.org/v1.19/client-server-api/#size-limits); what
// is larger is no event and has no relation.
const maxContent = 1 << 17

// RelatesTo returns the relation that an event's content declares, both "" if
// there is none or it is malformed. The event ID is one that [ValidateEventID]
// takes. It never fails: content comes from strangers.
func RelatesTo(content json.RawMessage) (relType, eventID string) {
	var outer struct {
		RelatesTo json.RawMessage `json:"m.relates_to"`
	}
	if len(content) > maxContent || json.Unmarshal(content, &outer) != nil || len(outer.RelatesTo) == 0 {
		return "", ""
	}
	// Each part on its own: one of a wrong type must not hide the other.
	var parts struct {
		RelType json.RawMessage `json:"rel_type"`
		EventID json.RawMessage `json:"event_id"`
	}
	if json.Unmarshal(outer.RelatesTo, &parts) != nil {
		return "", ""
	}
	if json.Unmarshal(parts.RelType, &relType) != nil {
		relType = ""
	}
	if json.Unmarshal(parts.EventID, &eventID) != nil || validateMatrixID("event ID", eventID, '$', false) != nil {
		eventID = ""
	}
	return relType, eventID
}

// ThreadRoot returns the event ID of the root of the thread that an event's
// content puts it into, "" for the main timeline.
func ThreadRoot(content json.RawMessage) string {
	relType, eventID := RelatesTo(content)
	if relType != relThread {
		return ""
	}
	return eventID
}
