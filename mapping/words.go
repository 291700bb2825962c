package mapping

import "github.com/timbridge/timbridge/receipts"

// ParseKind reads the name of a kind: ghost, account or linked.
func ParseKind(name string) (kind receipts.Kind, ok bool) {
	for _, kind = range []receipts.Kind{receipts.KindGhost, receipts.KindAccount, receipts.KindLinked} {
		if kind.String() == name {
			return kind, true
		}
	}
	return 0, false
}

// ParseWants reads yes or no; "" is unknown.
func ParseWants(word string) (wants receipts.Wants, ok bool) {
	switch word {
	case "":
		return receipts.WantsUnknown, true
	case "yes":
		return receipts.WantsYes, true
	case "no":
		return receipts.WantsNo, true
	default:
		return receipts.WantsUnknown, false
	}
}
