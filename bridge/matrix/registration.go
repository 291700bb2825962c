package matrix

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.mau.fi/util/random"
	"maunium.net/go/mautrix/appservice"
)

// RegistrationConfig is what NewRegistration needs. Empty tokens and an empty SenderLocalpart are
// made up at random, an empty ID becomes "timbridge".
type RegistrationConfig struct {
	ID string
	// URL is where the homeserver reaches us.
	URL string
	// Domain is the homeserver's server_name.
	Domain       string
	BotLocalpart string
	// GhostPrefix is what the localparts of all ghosts begin with, such as "timbridge_".
	GhostPrefix     string
	ASToken         string
	HSToken         string
	SenderLocalpart string
}

// Checks of names shared by NewRegistration and New.
var (
	errNoDomain  = errors.New("no homeserver domain given")
	localpartRE  = regexp.MustCompile(`^[a-z0-9._=/+-]+$`)
	errSameAsBot = errors.New("the bot must not be sender_localpart: Synapse answers 500 to its /sync")
)

// NewRegistration builds the registration that the operator hands to the homeserver. Its YAML method
// gives the file.
//
// It asks for receipts under the name of the specification (receive_ephemeral, understood by Synapse
// from 1.156.0 on) and under the older one (de.sorunome.msc2409.push_ephemeral). The bot has a
// namespace of its own beside the ghosts' and is not sender_localpart, because Synapse refuses /sync
// to that user; sender_localpart is a name nobody uses, as with mautrix bridges. The aliases of rooms
// made for groups begin as the ghosts do: Synapse lets an application service make no others, and
// nobody else take one first.
func NewRegistration(cfg RegistrationConfig) (*appservice.Registration, error) {
	if err := checkNames(cfg.Domain, cfg.BotLocalpart, cfg.GhostPrefix); err != nil {
		return nil, err
	}
	reg := appservice.CreateRegistration()
	reg.ID = cfg.ID
	if reg.ID == "" {
		reg.ID = "timbridge"
	}
	reg.URL = cfg.URL
	if cfg.ASToken != "" {
		reg.AppToken = cfg.ASToken
	}
	if cfg.HSToken != "" {
		reg.ServerToken = cfg.HSToken
	}
	reg.SenderLocalpart = cfg.SenderLocalpart
	if reg.SenderLocalpart == "" {
		reg.SenderLocalpart = strings.ToLower(random.String(32))
	}
	if reg.SenderLocalpart == cfg.BotLocalpart {
		return nil, errSameAsBot
	}
	rateLimited := false
	reg.RateLimited = &rateLimited
	reg.EphemeralEvents = true
	reg.SoruEphemeralEvents = true
	domain := regexp.QuoteMeta(cfg.Domain)
	reg.Namespaces.UserIDs = appservice.NamespaceList{
		{Regex: "^@" + regexp.QuoteMeta(cfg.BotLocalpart) + ":" + domain + "$", Exclusive: true},
		{Regex: "^@" + regexp.QuoteMeta(cfg.GhostPrefix) + ".*:" + domain + "$", Exclusive: true},
	}
	reg.Namespaces.RoomAliases = appservice.NamespaceList{
		{Regex: "^#" + regexp.QuoteMeta(cfg.GhostPrefix) + ".*:" + domain + "$", Exclusive: true},
	}
	return reg, nil
}

// NewDoublePuppetRegistration builds the second registration by which the bridge may act as any user
// of domain: it claims all of them, exclusively none, and has no URL, so that nothing is pushed.
// An empty asToken is made up at random; it goes as "as_token:TOKEN" into Config.DoublePuppet.
func NewDoublePuppetRegistration(id, domain, asToken string) (*appservice.Registration, error) {
	if domain == "" {
		return nil, errNoDomain
	}
	reg := appservice.CreateRegistration()
	reg.ID = id
	if asToken != "" {
		reg.AppToken = asToken
	}
	reg.SenderLocalpart = strings.ToLower(random.String(32))
	rateLimited := false
	reg.RateLimited = &rateLimited
	reg.Namespaces.UserIDs = appservice.NamespaceList{
		{Regex: "^@.*:" + regexp.QuoteMeta(domain) + "$", Exclusive: false},
	}
	return reg, nil
}

func checkNames(domain, botLocalpart, ghostPrefix string) error {
	switch {
	case domain == "":
		return errNoDomain
	case !localpartRE.MatchString(botLocalpart):
		return fmt.Errorf("bot localpart %q is no valid localpart", botLocalpart)
	case !localpartRE.MatchString(ghostPrefix):
		return fmt.Errorf("ghost prefix %q is no valid beginning of a localpart", ghostPrefix)
	case strings.HasPrefix(botLocalpart, ghostPrefix):
		return fmt.Errorf("bot localpart %q begins with the ghost prefix %q: the bot would be a ghost", botLocalpart, ghostPrefix)
	}
	return nil
}
