package config

import (
	"time"

	"go.mau.fi/zeroconfig"
)

// Config is the whole configuration of timbridge. Its sections carry the names
// that mautrix bridges use, so that operators find what they know. What each
// key does for the operator is written in config.example.yaml; the comments
// here tell a programmer what to rely on.
//
// A Config that came from [Load] and passed [Config.Validate] is complete:
// every default is filled in. It is not changed after loading and may be read
// from any goroutine.
type Config struct {
	Homeserver   Homeserver   `yaml:"homeserver"`
	AppService   AppService   `yaml:"appservice"`
	Database     Database     `yaml:"database"`
	Replica      Replica      `yaml:"replica"`
	Matrix       Matrix       `yaml:"matrix"`
	DoublePuppet DoublePuppet `yaml:"double_puppet"`
	Tencent      Tencent      `yaml:"tencent"`
	V2TIM        V2TIM        `yaml:"v2tim"`
	Relay        Relay        `yaml:"relay"`
	Mapping      Mapping      `yaml:"mapping"`
	Receipts     Receipts     `yaml:"receipts"`
	Bridge       Bridge       `yaml:"bridge"`

	// EnvConfigPrefix is what names of environment variables begin with that
	// override keys of this file; empty switches them off.
	EnvConfigPrefix string `yaml:"env_config_prefix"`

	// Logging is a zeroconfig section; see https://github.com/tulir/zeroconfig.
	Logging zeroconfig.Config `yaml:"logging"`
}

// Homeserver says where the Matrix homeserver is.
type Homeserver struct {
	// Address is the base URL of the client-server API, without a trailing slash.
	Address string `yaml:"address"`
	// Domain is the server name, the part after the colon in a user's MXID.
	Domain string `yaml:"domain"`
	// RequestTimeout bounds one request to the homeserver (long-polling /sync
	// gets its own poll time on top).
	RequestTimeout time.Duration `yaml:"request_timeout"`
}

// AppService is how timbridge appears to the homeserver. All but Hostname and
// Port also stand in the registration.
type AppService struct {
	// Address is the URL at which the homeserver reaches this application service.
	Address string `yaml:"address"`
	// Hostname and Port are where timbridge listens for the homeserver.
	Hostname string `yaml:"hostname"`
	Port     uint16 `yaml:"port"`
	TLS      TLS    `yaml:"tls"`
	// ID names this application service at the homeserver.
	ID  string `yaml:"id"`
	Bot Bot    `yaml:"bot"`
	// UsernameTemplate is the localpart of ghosts, a prefix followed by {{.}};
	// use [AppService.GhostPrefix].
	UsernameTemplate string `yaml:"username_template"`
	// EphemeralEvents asks the homeserver to push receipts.
	EphemeralEvents bool `yaml:"ephemeral_events"`
	// ASToken authenticates us to the homeserver, HSToken the homeserver to us.
	ASToken Secret `yaml:"as_token"`
	HSToken Secret `yaml:"hs_token"`
}

// TLS makes a listener speak HTTPS only; both files or neither.
type TLS struct {
	// Cert is the file with the certificate and those between it and its
	// authority, Key that with its private key; PEM. They are read again when
	// they change.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// On tells whether the listener speaks HTTPS.
func (t TLS) On() bool { return t.Cert != "" }

// Bot is the Matrix user that joins the bridged rooms. It is not the
// sender_localpart of the registration, because Synapse refuses /sync to that.
type Bot struct {
	// Username is the localpart; it lies outside the ghosts' namespace.
	Username string `yaml:"username"`
	// Displayname and Avatar (an mxc:// URI) are set at start; empty leaves them
	// alone, "remove" removes them.
	Displayname string `yaml:"displayname"`
	Avatar      string `yaml:"avatar"`
}

// Policy decides which message a ghost's receipt in Matrix points at.
type Policy string

const (
	// PolicyLatest is the newest message that the user has read.
	PolicyLatest Policy = "latest"
	// PolicyContiguous is the newest read message before which nothing that
	// asked for a receipt is unread.
	PolicyContiguous Policy = "contiguous"
)

// Matrix tunes how receipts are read from and sent to the homeserver.
type Matrix struct {
	// Coalesce: after a reader's receipt went out, his next ones within this
	// time ride together.
	Coalesce time.Duration `yaml:"coalesce"`
	// Concurrency is the number of requests to the homeserver in flight.
	Concurrency int `yaml:"concurrency"`
	// SyncInterval is how often /sync is asked where the homeserver also pushes
	// receipts; where it does not, timbridge long-polls.
	SyncInterval time.Duration `yaml:"sync_interval"`
	Policy       Policy        `yaml:"policy"`
}

// DoublePuppet lets timbridge act as real Matrix users (linked users).
type DoublePuppet struct {
	// Servers maps a server name other than homeserver.domain to the base URL of
	// its client-server API.
	Servers map[string]string `yaml:"servers"`
	// Secrets maps a server name to "as_token:" and the token of a second
	// registration on that server; use [DoublePuppet.Token].
	Secrets map[string]Secret `yaml:"secrets"`
}

// Mode says what the Tencent side is.
type Mode string

const (
	// ModeStandalone: there is no Tencent Cloud, our V2TIM API is the Tencent side.
	ModeStandalone Mode = "standalone"
	// ModeCloud: groups live in Tencent Cloud; we are a backend of the app, by its webhooks and server API.
	ModeCloud Mode = "cloud"
)

// Tencent describes the Tencent application that apps log in to.
type Tencent struct {
	Mode     Mode   `yaml:"mode"`
	SDKAppID uint64 `yaml:"sdk_app_id"`
	// SecretKey signs and checks UserSigs (HMAC-SHA256).
	SecretKey Secret `yaml:"secret_key"`
	// Admins are the identifiers that may call the server API and the admin API.
	Admins []string `yaml:"admins"`
	// Edition is the application's edition; receipts belong to some only.
	Edition Edition `yaml:"edition"`
	// MaxMembers: groups larger than this have no receipts (10060); 0 = no limit.
	MaxMembers int `yaml:"max_members"`

	// What follows is for ModeCloud only.

	// Region is where the app lives, one of tencent.Regions. BaseURL stands in for it.
	Region  string `yaml:"region"`
	BaseURL string `yaml:"base_url"`
	// CallsPerSecond and AccountCallsPerSecond are our share of Tencent's limits for
	// each command (200 and 100).
	CallsPerSecond        float64 `yaml:"calls_per_second"`
	AccountCallsPerSecond float64 `yaml:"account_calls_per_second"`
	// Concurrency is the number of calls to Tencent in flight.
	Concurrency    int           `yaml:"concurrency"`
	RequestTimeout time.Duration `yaml:"request_timeout"`
	// CatchUpInterval is how often is looked for what webhooks have not told, and
	// CatchUpMessages how many messages of a group are looked at.
	CatchUpInterval time.Duration `yaml:"catch_up_interval"`
	CatchUpMessages int           `yaml:"catch_up_messages"`
	Webhook         Webhook       `yaml:"webhook"`
}

// Admin is the identifier under which we call Tencent's server API.
func (t Tencent) Admin() string {
	if len(t.Admins) == 0 {
		return ""
	}
	return t.Admins[0]
}

// Webhook is where Tencent, or the app's backend, tells what happens in groups.
type Webhook struct {
	// Hostname and Port are where we listen for webhooks, at any path.
	Hostname string `yaml:"hostname"`
	Port     uint16 `yaml:"port"`
	TLS      TLS    `yaml:"tls"`
	// Token is that of Tencent's console, BearerToken one of the app's backend; a
	// webhook must show one of those that are set.
	Token       Secret `yaml:"token"`
	BearerToken Secret `yaml:"bearer_token"`
	// Sources are the addresses (CIDR) that webhooks may come from, all if there are
	// none. TrustedProxies are those whose X-Forwarded-For is believed.
	Sources        []string `yaml:"sources"`
	TrustedProxies []string `yaml:"trusted_proxies"`
	// Forward is the app's backend: every webhook is passed on to it, and its answer
	// goes back. ForwardStrict makes a backend that does not answer a failure.
	Forward       string `yaml:"forward"`
	ForwardStrict bool   `yaml:"forward_strict"`
}

// Relay says which messages cross, for ModeCloud.
type Relay struct {
	// Messages: messages cross. If not, another bridge has to carry and stamp them.
	Messages bool `yaml:"messages"`
	// Unmapped are the kinds of messages without a place in the history that are shown
	// in the room all the same. They have no receipts.
	Unmapped []Unmapped `yaml:"unmapped"`
	// MediaURL is where apps find what Matrix users upload, with {server} and {media}
	// in it; empty: they only see the name of a file.
	MediaURL string `yaml:"media_url"`
	// Avatars says whose avatars ghosts get.
	Avatars Avatars `yaml:"avatars"`
}

// Unmapped is a kind of message that has no place in a group's history.
type Unmapped string

const (
	// UnmappedOnlineOnly: for those online only.
	UnmappedOnlineOnly Unmapped = "online_only"
	// UnmappedDirected: for some members only.
	UnmappedDirected Unmapped = "directed"
	// UnmappedTopic: in a topic of a community.
	UnmappedTopic Unmapped = "topic"
)

// Avatars says from where the pictures of ghosts may be fetched.
type Avatars string

const (
	// AvatarsOff: ghosts have none.
	AvatarsOff Avatars = "off"
	// AvatarsPublic: only from public addresses.
	AvatarsPublic Avatars = "public"
	// AvatarsAny: also from private addresses, such as this machine's own.
	AvatarsAny Avatars = "any"
)

// MatrixMembers says which Matrix users become members of the Tencent group.
type MatrixMembers string

const (
	// MatrixMembersActive: who has written or read something.
	MatrixMembersActive MatrixMembers = "active"
	// MatrixMembersAll: everybody in the room.
	MatrixMembersAll MatrixMembers = "all"
	// MatrixMembersNone: nobody; their messages appear, their receipts do not.
	MatrixMembersNone MatrixMembers = "none"
)

// V2TIM is the API that apps call.
type V2TIM struct {
	// Hostname and Port are where the API listens.
	Hostname string `yaml:"hostname"`
	Port     uint16 `yaml:"port"`
	TLS      TLS    `yaml:"tls"`
	// MaxIDs is the largest number of message IDs in one call (6017 beyond).
	MaxIDs int `yaml:"max_ids"`
	// MaxBody is the largest request body in bytes.
	MaxBody int64 `yaml:"max_body"`
	// MaxMessage is the largest message text or custom data in bytes (8001 beyond).
	MaxMessage int `yaml:"max_message"`
	// MaxConnections bounds the WebSockets open at a time.
	MaxConnections int       `yaml:"max_connections"`
	RateLimit      RateLimit `yaml:"rate_limit"`
	// MinSDKVersion, if set, refuses clients that say they are older (7013).
	MinSDKVersion string `yaml:"min_sdk_version"`
	// DenyPlatforms refuses clients that say they run on one of these (7013).
	DenyPlatforms []string `yaml:"deny_platforms"`
	// CallbackCoalesce: a sender gets onRecvMessageReadReceipts at most once per this time.
	CallbackCoalesce time.Duration `yaml:"callback_coalesce"`
	// CallbackKeep is how long callbacks can be caught up with by cursor.
	CallbackKeep time.Duration `yaml:"callback_keep"`
	// CallbackURL, if set, is the app's backend: it gets every new reader as a
	// Group.CallbackAfterReadReceipt, signed with CallbackToken if that is set.
	CallbackURL   string `yaml:"callback_url"`
	CallbackToken Secret `yaml:"callback_token"`
}

// RateLimit is a token bucket for each user, and one for each address.
type RateLimit struct {
	// PerSecond is the steady rate of calls; 0 = no limit.
	PerSecond float64 `yaml:"per_second"`
	// Burst is how many calls may come at once.
	Burst int `yaml:"burst"`
	// BadSignatures is how many wrong UserSigs may come from one address in a minute
	// (70050 beyond); 0 = no limit.
	BadSignatures int `yaml:"bad_signatures"`
}

// Mapping says how messages and events find each other.
type Mapping struct {
	// StampSenders are patterns of the MXIDs whose com.tencent.im stamps count,
	// beside our own users; compile them with [CompileSenders].
	StampSenders []string `yaml:"stamp_senders"`
}

// Receipts holds the few times and sizes of the rules in package receipts.
type Receipts struct {
	// HoleAfter: an unread message older than this no longer holds back the
	// frontier. GapAfter: the same for an event that may still become a message.
	HoleAfter time.Duration `yaml:"hole_after"`
	GapAfter  time.Duration `yaml:"gap_after"`
	// Window is how many messages a first receipt covers at most where neither
	// the reader's joining nor the group's linking is known.
	Window int `yaml:"window"`
	// ParkFor is how long a receipt on an unknown event is kept.
	ParkFor time.Duration `yaml:"park_for"`
}

// Bridge holds what belongs to neither side.
type Bridge struct {
	// MappingWait is how long a call waits for an unknown message ID to become known.
	MappingWait time.Duration `yaml:"mapping_wait"`
	// EventWait is how long an unknown event may still arrive by itself before
	// the homeserver is asked for it.
	EventWait time.Duration `yaml:"event_wait"`
	// StopTimeout bounds a clean stop.
	StopTimeout time.Duration `yaml:"stop_timeout"`
	// MaxConnections bounds the connections of each listener; WebSockets have
	// V2TIM.MaxConnections instead.
	MaxConnections int `yaml:"max_connections"`
	// CommandPrefix begins messages in a room that are meant for us.
	CommandPrefix string `yaml:"command_prefix"`
	// MayLink are patterns of the MXIDs who may link a room with a group by a command,
	// as StampSenders; none: the homeserver's own users.
	MayLink []string `yaml:"may_link"`
	// MatrixMembers, AutoCreate and AutoInvite are for ModeCloud only. AutoCreate
	// makes a room for every group of the app, into which AutoInvite (MXIDs) are invited.
	MatrixMembers MatrixMembers `yaml:"matrix_members"`
	AutoCreate    bool          `yaml:"auto_create"`
	AutoInvite    []string      `yaml:"auto_invite"`
}
