package matrixtest

import (
	"regexp"

	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"
)

// namespace is one claim of a registration.
type namespace struct {
	regex     *regexp.Regexp
	exclusive bool
}

func compile(list appservice.NamespaceList) (namespaces []namespace, err error) {
	for _, ns := range list {
		regex, err := regexp.Compile(ns.Regex)
		if err != nil {
			return nil, err
		}
		namespaces = append(namespaces, namespace{regex: regex, exclusive: ns.Exclusive})
	}
	return namespaces, nil
}

func (svc *service) owns(user id.UserID, exclusive bool) bool {
	return claims(svc.namespaces, string(user), exclusive)
}

func (svc *service) ownsAlias(alias id.RoomAlias, exclusive bool) bool {
	return claims(svc.aliases, string(alias), exclusive)
}

// claims tells whether a name lies in one of the namespaces, with exclusive only in one of those that others may not use.
func claims(namespaces []namespace, name string, exclusive bool) bool {
	for _, ns := range namespaces {
		if (ns.exclusive || !exclusive) && ns.regex.MatchString(name) {
			return true
		}
	}
	return false
}
