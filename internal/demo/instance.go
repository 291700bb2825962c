package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/internal/lab"
)

// instance is one timbridge with its config, database and ports.
type instance struct {
	house       *house
	name        string // of its files, and of itself at the homeserver
	matrixPort  int
	apiPort     int
	webhookPort int    // 0 where there are none
	api         string // base URL of the V2TIM API
	process     *process
}

func newInstance(h *house, name string, matrixPort, apiPort int) *instance {
	return &instance{house: h, name: name, matrixPort: matrixPort, apiPort: apiPort, api: fmt.Sprintf("http://127.0.0.1:%d", apiPort)}
}

func (i *instance) config() string { return i.house.path(i.name + ".yaml") }

// bot is the user that is invited into rooms.
func (i *instance) bot() id.UserID { return id.NewUserID(i.botName(), lab.Domain) }

func (i *instance) botName() string {
	if i.webhookPort != 0 {
		return "cloudbot"
	}
	return "timbridgebot"
}

// ghost is the Matrix user that stands for somebody of Tencent's side.
func (i *instance) ghost(userID string) id.UserID {
	return id.NewUserID(i.ghostPrefix()+userID, lab.Domain)
}

func (i *instance) ghostPrefix() string {
	if i.webhookPort != 0 {
		return "cloud_"
	}
	return "tim_"
}

// running returns the process, nil if it was never started.
func (i *instance) running() *process {
	if i == nil {
		return nil
	}
	return i.process
}

// start starts it and waits until it takes transactions, calls and webhooks.
func (i *instance) start(ctx context.Context) (took time.Duration, err error) {
	began := time.Now()
	log, err := os.OpenFile(i.house.path(i.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("failed to make the log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(i.house.binary, "-c", i.config())
	cmd.Dir, cmd.Stdout, cmd.Stderr = i.house.dir, log, log
	if i.process, err = startProcess(cmd); err != nil {
		return 0, err
	}
	ready := func(ctx context.Context) error {
		for _, url := range []string{fmt.Sprintf("http://127.0.0.1:%d/_matrix/mau/ready", i.matrixPort), i.api + "/v4/"} {
			if err := i.house.get(ctx, url); err != nil {
				return err
			}
		}
		if i.webhookPort == 0 {
			return nil
		}
		return dial(ctx, i.webhookPort)
	}
	err = i.process.waitReady(ctx, "timbridge", ready)
	return time.Since(began), err
}

// dial is nil if somebody listens there.
func dial(ctx context.Context, port int) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("failed to connect: %w", err)
	}
	return conn.Close()
}

// waitReady waits until ready is nil, or the process has ended.
func (p *process) waitReady(ctx context.Context, name string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %w", name, errors.Join(errors.New("see its log"), p.err))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", name, err)
		case <-time.After(pollEvery):
		}
	}
}

// configText is what has to be said in the config of either timbridge; the section tencent is still open at its end.
func configText(i *instance, dendritePort int) string {
	return fmt.Sprintf(`homeserver:
    address: http://127.0.0.1:%d
    domain: %s
appservice:
    address: http://127.0.0.1:%d
    port: %d
    id: %s
    bot:
        username: %s
    username_template: %s{{.}}
database:
    uri: %q
v2tim:
    port: %d
logging:
    min_level: debug
    writers:
        - type: stdout
          format: pretty
tencent:
    sdk_app_id: %d
    secret_key: %s
    admins: [%s]
`, dendritePort, lab.Domain, i.matrixPort, i.matrixPort, i.name, i.botName(), i.ghostPrefix(), i.house.path(i.name+".db"), i.apiPort,
		sdkAppID, i.house.secret, admin)
}

// standaloneText completes the config of the first part.
func standaloneText(puppet string) string {
	return fmt.Sprintf(`double_puppet:
    secrets:
        %s: "as_token:%s"
`, lab.Domain, puppet)
}

// cloudText completes the config of the second part. Everybody in the room becomes a member of the group at once, so that the
// counts are the same in each run.
func cloudText(baseURL string, webhookPort int) string {
	return fmt.Sprintf(`    mode: cloud
    base_url: %s
    webhook:
        port: %d
        token: %s
bridge:
    matrix_members: all
`, baseURL, webhookPort, rand.Text())
}

// puppetText is a registration that lets timbridge act as real users who are linked with a Tencent user.
func puppetText(token string) string {
	return fmt.Sprintf(`id: doublepuppet
url: null
as_token: %s
hs_token: %s
sender_localpart: doublepuppet
rate_limited: false
namespaces:
    users:
        - regex: '@.*:%s'
          exclusive: false
`, token, rand.Text(), lab.Domain)
}
