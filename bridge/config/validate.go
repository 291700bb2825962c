package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Part is a piece of the configuration that can be checked by itself, because
// not every subcommand needs all of it.
type Part int

const (
	// PartRegistration is what goes into the registration: who and where we
	// and the homeserver are.
	PartRegistration Part = iota
	// PartTokens are the two tokens that -g makes.
	PartTokens
	// PartDatabase, PartMatrix, PartTencent, PartV2TIM and PartRules are the
	// sections; PartRules stands for mapping, receipts and bridge.
	PartDatabase
	PartMatrix
	PartTencent
	PartV2TIM
	PartRules
)

// Values of the example that have to be changed.
const (
	exampleAddress = "http://example.localhost:8008"
	exampleDomain  = "example.com"
	exampleToken   = "This value is generated when generating the registration" // #nosec G101 -- it says that there is none yet
)

// Validate checks the given parts, or everything if none is given. The error is
// a [*ProblemsError] with all problems at once.
func (c *Config) Validate(parts ...Part) error {
	checks := map[Part]func(*findings){
		PartRegistration: c.checkRegistration,
		PartTokens:       c.checkTokens,
		PartDatabase:     c.checkDatabase,
		PartMatrix:       c.checkMatrix,
		PartTencent:      c.checkTencent,
		PartV2TIM:        c.checkV2TIM,
		PartRules:        c.checkRules,
	}
	var found findings
	for part := PartRegistration; part <= PartRules; part++ {
		if len(parts) == 0 || slices.Contains(parts, part) {
			checks[part](&found)
		}
	}
	return found.err()
}

// Tokens returns the tokens of the application service; one that is still to
// be made is empty.
func (a AppService) Tokens() (asToken, hsToken Secret) {
	if isToken(a.ASToken) {
		asToken = a.ASToken
	}
	if isToken(a.HSToken) {
		hsToken = a.HSToken
	}
	return asToken, hsToken
}

func isToken(token Secret) bool {
	return token != "" && token != exampleToken && token != "generate"
}

func (c *Config) checkRegistration(found *findings) {
	switch address := c.Homeserver.Address; {
	case address == exampleAddress || address == "":
		found.problem("homeserver.address", "is not set: give the address at which timbridge reaches your homeserver, for instance http://localhost:8008")
	default:
		checkURL(found, "homeserver.address", address)
	}
	switch domain := c.Homeserver.Domain; {
	case domain == exampleDomain || domain == "":
		found.problem("homeserver.domain", "is not set: give your homeserver's server_name, the part after the colon in user IDs")
	case !isServerName(domain):
		found.problem("homeserver.domain", "%q is not a server name: give the part after the colon in user IDs, without https://", domain)
	}
	as := c.AppService
	checkURL(found, "appservice.address", as.Address)
	checkListen(found, "appservice", as.Hostname, as.Port)
	checkTLS(found, "appservice.tls", as.TLS)
	if !regexp.MustCompile(`^[A-Za-z0-9._~-]+$`).MatchString(as.ID) {
		found.problem("appservice.id", "%q will not do: use letters, digits, - and _", as.ID)
	}
	if !isLocalpart(as.Bot.Username) {
		found.problem("appservice.bot.username", "%q is not a Matrix username: use a-z, 0-9 and . _ - / = +, without @ and domain", as.Bot.Username)
	}
	prefix := as.GhostPrefix()
	switch {
	case !isLocalpart(prefix):
		found.problem("appservice.username_template", "%q has to be a Matrix username's beginning (a-z, 0-9 and . _ - / = +) followed by {{.}}, for instance tim_{{.}}", as.UsernameTemplate)
	case strings.HasPrefix(as.Bot.Username, prefix):
		found.problem("appservice.bot.username", "%q begins like the ghosts' names (%s): choose another one, the bot is no ghost", as.Bot.Username, prefix)
	}
	if avatar := as.Bot.Avatar; avatar != "" && avatar != "remove" && !strings.HasPrefix(avatar, "mxc://") {
		found.problem("appservice.bot.avatar", "has to be empty, remove, or an address that begins with mxc://")
	}
}

func (c *Config) checkTokens(found *findings) {
	as := c.AppService
	for _, token := range []struct {
		key   string
		value Secret
	}{{"appservice.as_token", as.ASToken}, {"appservice.hs_token", as.HSToken}} {
		if !isToken(token.value) {
			found.problem(token.key, "is not set: generate the registration (timbridge -g), then give it to the homeserver")
		} else if strings.ContainsAny(string(token.value), " \t\r\n") {
			found.problem(token.key, "holds a blank, which no token does: take the one of the registration")
		}
	}
	if isToken(as.ASToken) && as.ASToken == as.HSToken {
		found.problem("appservice.hs_token", "is the same as as_token: they have to differ, take those of the registration")
	}
}

func (c *Config) checkDatabase(found *findings) {
	db := c.Database
	switch db.Type {
	case DatabaseSQLite, DatabaseSQLite3:
		if isServerURI(db.URI) {
			found.problem("database.uri", "is that of a PostgreSQL server: set database.type to postgres, or use file:timbridge.db")
		}
	case DatabasePostgres:
		if db.URI != "" && !isServerURI(db.URI) {
			found.problem("database.uri", "is not that of a PostgreSQL server: write postgres://user:password@host/database")
		}
	default:
		found.problem("database.type", "%q is not known: use sqlite3-fk-wal or postgres", db.Type)
	}
	c.checkReplica(found)
	if db.URI == "" {
		found.problem("database.uri", "is not set: give a path, for instance file:timbridge.db, or the address of a PostgreSQL database")
	}
	if db.MaxOpenConns < 1 {
		found.problem("database.max_open_conns", "has to be 1 or more")
	}
	if db.MaxIdleConns < 0 {
		found.problem("database.max_idle_conns", "cannot be negative")
	}
	if db.MaxConnIdleTime < 0 || db.MaxConnLifetime < 0 {
		found.problem("database.max_conn_idle_time", "and max_conn_lifetime cannot be negative: 0s is never")
	}
	if db.StartWait < 0 {
		found.problem("database.start_wait", "cannot be negative: 0s is not at all")
	}
}

func isServerURI(uri Secret) bool {
	return strings.HasPrefix(string(uri), "postgres://") || strings.HasPrefix(string(uri), "postgresql://")
}

func checkURL(found *findings, key, text string) {
	parsed, err := url.Parse(text)
	switch {
	case err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https"):
		found.problem(key, "has to be an address that begins with http:// or https://")
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		found.problem(key, "has to be a plain address, without a user, ? or #")
	}
}

func checkListen(found *findings, section, hostname string, port uint16) {
	if port == 0 {
		found.problem(section+".port", "is not set: give the port to listen on, from 1 to 65535")
	}
	if strings.ContainsAny(hostname, "/ ") || strings.Contains(hostname, "://") {
		found.problem(section+".hostname", "%q is not a host: give a name or an IP address, for instance 127.0.0.1 or 0.0.0.0", hostname)
	}
}

// checkTLS wants both files or neither. Whether they can be read is for the start to see.
func checkTLS(found *findings, section string, t TLS) {
	switch {
	case t.Cert == "" && t.Key != "":
		found.problem(section+".cert", "is not set, but key is: give both files, or neither")
	case t.Cert != "" && t.Key == "":
		found.problem(section+".key", "is not set, but cert is: give both files, or neither")
	}
}

// isServerName takes what https://spec.matrix.org/v1.19/appendices/#server-name
// calls a server name: a DNS name or an IP address, perhaps with a port.
func isServerName(name string) bool {
	return len(name) <= 230 && regexp.MustCompile(`^([0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`).MatchString(name)
}

// isLocalpart takes what https://spec.matrix.org/v1.19/appendices/#user-identifiers
// allows in new users' names.
func isLocalpart(name string) bool {
	return regexp.MustCompile(`^[a-z0-9._=/+-]{1,200}$`).MatchString(name)
}

// quoteAll lists words for an error text.
func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = fmt.Sprintf("%q", word)
	}
	return strings.Join(quoted, ", ")
}
