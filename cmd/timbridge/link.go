package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/bridge/webserver"
	"github.com/timbridge/timbridge/receipts"
)

// adminPatience bounds a call of the running bridge: to join a room of another server can take a minute.
const adminPatience = 2 * time.Minute

// link asks the running bridge to join a group and a room.
func (p *program) link(ctx context.Context, opts *options, cfg *config.Config) error {
	groupID, room := opts.args[0], opts.args[1]
	if !isRoom(room) {
		return failure(exitUsage, "%q is not a room: give its ID (!…) or an alias (#name:server), in single quotes", room)
	}
	a, err := dialAdmin(opts, cfg)
	if err != nil {
		return err
	}
	defer a.close()
	ctx, cancel := context.WithTimeout(ctx, adminPatience)
	defer cancel()
	mapped, err := a.client.MapGroup(ctx, v2tim.MapGroupRequest{GroupId: groupID, RoomId: room})
	if err != nil {
		return a.explain(err, "link group "+groupID)
	}
	_, err = fmt.Fprintf(p.stdout, "Linked group %s with room %s.\nWrite \"%s status\" in the room to see how it goes.\n",
		describeGroup(mapped), mapped.RoomId, cfg.Bridge.CommandPrefix)
	return err
}

// unlink asks the running bridge to part a group from its room.
func (p *program) unlink(ctx context.Context, opts *options, cfg *config.Config) error {
	a, err := dialAdmin(opts, cfg)
	if err != nil {
		return err
	}
	defer a.close()
	ctx, cancel := context.WithTimeout(ctx, adminPatience)
	defer cancel()
	if err = a.client.UnmapGroup(ctx, opts.args[0]); err != nil {
		return a.explain(err, "unlink group "+opts.args[0])
	}
	_, err = fmt.Fprintf(p.stdout, "Group %s has no room now. What was read is kept; it can be linked again.\n", opts.args[0])
	return err
}

// isRoom takes a room ID (those of room version 12 have no server) or an alias.
func isRoom(text string) bool {
	if strings.ContainsAny(text, " \t\r\n") {
		return false
	}
	name, server, found := strings.Cut(text, ":")
	return strings.HasPrefix(text, "!") && len(text) > 1 || strings.HasPrefix(name, "#") && len(name) > 1 && found && server != ""
}

// describeGroup names a group for people.
func describeGroup(g v2tim.MapGroupResponse) string {
	var about []string
	if g.Name != "" {
		about = append(about, strconv.Quote(g.Name))
	}
	if g.Type != "" {
		about = append(about, g.Type)
	}
	if len(about) == 0 {
		return g.GroupId
	}
	return g.GroupId + " (" + strings.Join(about, ", ") + ")"
}

// adminClient calls the admin API of the bridge that runs with the same config.
type adminClient struct {
	client     *v2timtest.Client
	http       *http.Transport
	configPath string
}

func dialAdmin(opts *options, cfg *config.Config) (*adminClient, error) {
	if err := validate(cfg, opts.configPath, config.PartTencent, config.PartV2TIM); err != nil {
		return nil, err
	}
	admin := cfg.Tencent.Admin()
	if admin == "" {
		return nil, failure(exitInvalidConfig, "%s has to be put right: tencent.admins is empty, so that nobody may call the admin API", opts.configPath)
	}
	transport := &http.Transport{} // no proxy: it is this machine
	scheme := "http://"
	if cfg.V2TIM.TLS.On() {
		var err error
		if transport.TLSClientConfig, err = webserver.LocalTLS(cfg.V2TIM.TLS.Cert); err != nil {
			return nil, failure(exitInvalidConfig, "v2tim.tls: %w", err)
		}
		scheme = "https://"
	}
	client, err := v2timtest.New(scheme+localAddress(cfg.V2TIM.Hostname, cfg.V2TIM.Port), cfg.Tencent.SDKAppID, string(cfg.Tencent.SecretKey), admin)
	if err != nil {
		return nil, failure(exitInvalidConfig, "%w", err)
	}
	a := &adminClient{client: client, http: transport, configPath: opts.configPath}
	client.HTTP = &http.Client{Transport: a.http}
	return a, nil
}

func (a *adminClient) close() { a.http.CloseIdleConnections() }

// explain says in plain words why a call failed, and what to do.
func (a *adminClient) explain(err error, what string) error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err // without the URL, which has a UserSig in it
	}
	var refused *receipts.Error
	var dial *net.OpError
	switch {
	case errors.As(err, &refused):
		return failure(exitRefused, "failed to %s: %s", what, a.reason(refused))
	case errors.As(err, &dial) && dial.Op == "dial":
		return failure(exitNotRunning, "failed to %s: no timbridge answers at %s (%v). It has to run, with the same config (v2tim.hostname and v2tim.port)", what, a.client.BaseURL, dial.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return failure(exitNotRunning, "failed to %s: timbridge did not answer within %s; its log says what it waits for", what, adminPatience)
	case errors.Is(err, context.Canceled):
		return failure(exitNotRunning, "interrupted; timbridge may have done it all the same")
	default:
		return failure(exitNotRunning, "failed to %s: what answers at %s is no timbridge, or it has just stopped: %w", what, a.client.BaseURL, err)
	}
}

// fromTencent begins the text of an answer that the bridge passes on from Tencent Cloud; its code is Tencent's then.
const fromTencent = "Tencent says"

// reason adds to an answer what to do.
func (a *adminClient) reason(refused *receipts.Error) string {
	if strings.HasPrefix(refused.Desc, fromTencent) {
		return refused.Desc + ": " + a.atTencent(refused.Code)
	}
	switch refused.Code {
	case receipts.CodeSDKAppIDInvalid, receipts.CodeUserSigWrongKey, receipts.CodeUserSigWrongApp, receipts.CodeUserSigExpired:
		return fmt.Sprintf("the running timbridge has another sdk_app_id or secret_key than %s: restart it, or name its config with -c (%v)", a.configPath, refused)
	case receipts.CodeNotAdmin:
		return fmt.Sprintf("the running timbridge does not know %s as an administrator: restart it if tencent.admins was changed (%v)", a.client.UserID, refused)
	case receipts.CodeGroupNotFound, receipts.CodeGroupInvalidGroupID:
		return fmt.Sprintf("timbridge knows no such group (%v)", refused)
	case receipts.CodeGroupInvalidParameters:
		return refused.Desc // plain words already
	case receipts.CodeGroupInternalError:
		if strings.Contains(refused.Desc, "internal error") {
			return refused.Desc + " (timbridge's log says more)"
		}
		return refused.Desc
	default:
		return refused.Error()
	}
}

// atTencent says what to do about a code of Tencent Cloud's.
func (a *adminClient) atTencent(code receipts.Code) string {
	const wrongRegion, adminRequired, usersigs = 60026, 70403, 70052
	switch {
	case code == receipts.CodeGroupNotFound, code == receipts.CodeGroupInvalidGroupID:
		return "the app has no such group; its ID is the one in Tencent's console, like @TGS#…, in single quotes"
	case code == receipts.CodeNotAdmin, code == adminRequired:
		return a.client.UserID + ", the first of tencent.admins, is no administrator of the app in Tencent's console"
	case code == wrongRegion:
		return "tencent.region is not where the app lives"
	case code == receipts.CodeSDKAppIDInvalid, code >= receipts.CodeUserSigExpired && code <= usersigs:
		return "tencent.sdk_app_id or tencent.secret_key is not the app's"
	default:
		return "see the codes in docs/tencent-cloud.md"
	}
}

// localAddress is how a listener of this machine is reached from this machine.
func localAddress(hostname string, port uint16) string {
	switch hostname {
	case "", "0.0.0.0":
		hostname = "127.0.0.1"
	case "::":
		hostname = "::1"
	}
	return net.JoinHostPort(strings.Trim(hostname, "[]"), strconv.Itoa(int(port)))
}
