package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"
)

// Config is what an AppService is made from. Zero durations and counts stand for the defaults.
type Config struct {
	Registration  *appservice.Registration
	HomeserverURL string
	Domain        string
	BotLocalpart  string
	GhostPrefix   string
	// DoublePuppet holds per server name the secret "as_token:TOKEN" of a double-puppet registration.
	DoublePuppet    map[string]string
	DoublePuppetURL map[string]string
	Concurrency     int           // requests in flight, default 8
	RequestTimeout  time.Duration // default 30 s
	SyncTimeout     time.Duration // long poll, default 30 s
	SyncInterval    time.Duration // between polls while the server pushes, default 15 s
	PushGrace       time.Duration // default 5 s
	MaxBackoff      time.Duration // default 1 min
}

type AppService struct{}

var errTODO = errors.New("not written yet")

func New(cfg Config, store appservice.StateStore, intake Intake, log zerolog.Logger) (*AppService, error) {
	return nil, errTODO
}
func (a *AppService) Close()                                                      {}
func (a *AppService) Handler() http.Handler                                       { return nil }
func (a *AppService) SetLive(bool)                                                {}
func (a *AppService) SetReady(bool)                                               {}
func (a *AppService) BotMXID() id.UserID                                          { return "" }
func (a *AppService) IsGhost(user id.UserID) bool                                 { return false }
func (a *AppService) CanActAs(user id.UserID) bool                                { return false }
func (a *AppService) PushState() PushState                                        { return 0 }
func (a *AppService) Sync(ctx context.Context) error                              { return errTODO } // until ctx ends; returns nil then
func (a *AppService) SyncNow()                                                    {}                 // wake the loop
func (a *AppService) UpdateState(ctx context.Context, ev Event)                   {}
func (a *AppService) EnsureBot(ctx context.Context) error                         { return errTODO }
func (a *AppService) JoinBot(ctx context.Context, room id.RoomID) error           { return errTODO }
func (a *AppService) EnsureRegistered(ctx context.Context, ghost id.UserID) error { return errTODO }
func (a *AppService) EnsureJoined(ctx context.Context, ghost id.UserID, room id.RoomID) error {
	return errTODO
}
func (a *AppService) Leave(ctx context.Context, as id.UserID, room id.RoomID) error { return errTODO }
func (a *AppService) SetProfile(ctx context.Context, as id.UserID, displayName string, avatar id.ContentURIString) error {
	return errTODO
}
func (a *AppService) SendReceipt(ctx context.Context, as id.UserID, room id.RoomID, event id.EventID) error {
	return errTODO
}

// SendMessage sends an m.room.message; SendEvent any type.
func (a *AppService) SendMessage(ctx context.Context, as id.UserID, room id.RoomID, content json.RawMessage, txnID string, ts time.Time) (id.EventID, error) {
	return "", errTODO
}
func (a *AppService) SendEvent(ctx context.Context, as id.UserID, room id.RoomID, eventType string, content json.RawMessage, txnID string, ts time.Time) (id.EventID, error) {
	return "", errTODO
}

// Context: before nearest first, after in order.
func (a *AppService) Context(ctx context.Context, room id.RoomID, event id.EventID) (before, after []id.EventID, err error) {
	return nil, nil, errTODO
}

// Surroundings is Context with the whole events.
type Surroundings struct {
	Event         Event
	Before, After []Event // nearest first; in order
}

func (a *AppService) Surroundings(ctx context.Context, room id.RoomID, event id.EventID) (Surroundings, error) {
	return Surroundings{}, errTODO
}
func (a *AppService) JoinedMembers(ctx context.Context, room id.RoomID) ([]id.UserID, error) {
	return nil, errTODO
}
func (a *AppService) Ping(ctx context.Context) error { return errTODO } // ErrUnsupported on Dendrite

// RegistrationConfig is what NewRegistration needs. Empty tokens and sender are made up at random.
type RegistrationConfig struct {
	ID, URL, Domain, BotLocalpart, GhostPrefix string
	ASToken, HSToken, SenderLocalpart          string
}

func NewRegistration(cfg RegistrationConfig) (*appservice.Registration, error) { return nil, errTODO }
func NewDoublePuppetRegistration(id, domain, asToken string) (*appservice.Registration, error) {
	return nil, errTODO
}
