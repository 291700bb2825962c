package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// Where sim listens and which token its webhooks have if nobody says otherwise.
const (
	simAddress = "127.0.0.1:29390"
	simToken   = "timbridge-sim"
)

// simHookPath is where webhooks pass through, so that each of them is seen.
const simHookPath = "/sim/webhook"

// maxLine bounds a line typed, and what is posted to /sim.
const maxLine = 64 << 10

// sim runs a stand-in for Tencent Cloud Chat until it is told to quit: the
// strict fake of package tencenttest, with people who do what lines say. It is a
// development tool; nothing is kept.
func (p *program) sim(ctx context.Context, opts *options) error {
	cfg, where, err := p.simConfig(opts)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", opts.listen)
	if err != nil {
		return failure(exitStart, "failed to listen for sim: %w", err)
	}
	f, err := newSimFront(listener, newSimPlan(opts, cfg), &simPrinter{out: p.stdout})
	if err != nil {
		return errors.Join(failure(exitStart, "%w", err), listener.Close())
	}
	defer f.close()
	f.printer.print(f.welcome(cfg, where))
	return p.simLines(ctx, f)
}

// simConfig reads the config if there is one or one is named. where names it for people.
func (p *program) simConfig(opts *options) (cfg *config.Config, where string, err error) {
	if _, err = os.Stat(opts.configPath); err != nil && !opts.configNamed {
		cfg, err = config.Default()
		return cfg, opts.configPath + " (there is none yet, timbridge -e writes one)", err
	}
	res, err := p.load(opts, false)
	if err != nil {
		return nil, "", err
	}
	return res.Config, opts.configPath, nil
}

// simLines does what standard input says until ctx ends or somebody quits. The
// end of the input ends it only on a terminal: without one it runs in the
// background.
func (p *program) simLines(ctx context.Context, f *simFront) error {
	lines, ended := make(chan string), make(chan struct{})
	go func() {
		defer close(ended)
		scanner := bufio.NewScanner(p.stdin)
		scanner.Buffer(nil, maxLine)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case line := <-lines:
			answer, err := f.desk.do(line)
			if err != nil {
				answer += err.Error() + "\n"
			}
			f.printer.print(answer)
		case <-ended:
			if isTyped(p.stdin) {
				return nil
			}
			ended = nil
		case <-f.desk.quit:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// isTyped tells whether somebody sits at the other end. The null device, which
// programs in the background are given, looks like a terminal.
func isTyped(in io.Reader) bool {
	file, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// simPlan is what sim takes from flags and config.
type simPlan struct {
	options tencenttest.Options
	// webhook is where webhooks go in the end, cert the file of the certificate
	// shown there, if it is the bridge's own.
	webhook, cert string
}

func newSimPlan(opts *options, cfg *config.Config) simPlan {
	t := cfg.Tencent
	plan := simPlan{webhook: opts.webhook, options: tencenttest.Options{
		SDKAppID: t.SDKAppID, SecretKey: string(t.SecretKey), Admins: t.Admins, Edition: simEdition(t.Edition),
	}}
	if plan.webhook == "" {
		scheme := "http://"
		if plan.cert = t.Webhook.TLS.Cert; plan.cert != "" {
			scheme = "https://"
		}
		plan.webhook = scheme + localAddress(t.Webhook.Hostname, t.Webhook.Port) + "/"
	}
	hook := &plan.options.Hook
	switch {
	case opts.webhookToken != "":
		hook.Token = opts.webhookToken
	case t.Webhook.Token != "":
		hook.Token = string(t.Webhook.Token)
	case t.Webhook.BearerToken != "":
		hook.Header = http.Header{"Authorization": {"Bearer " + string(t.Webhook.BearerToken)}}
	default:
		hook.Token = simToken
	}
	return plan
}

// simEdition finds the edition of the fake that is like that of the config.
func simEdition(edition config.Edition) tencenttest.Edition {
	switch edition {
	case "enterprise", "intl_enterprise":
		return tencenttest.EditionEnterprise
	case "pro", "intl_standard", "false":
		return tencenttest.EditionPro
	case "trial", "intl_free":
		return tencenttest.EditionTrial
	default:
		return tencenttest.EditionFlagship
	}
}

// welcome says where it is and what the config needs. What the config has
// already is not printed: it may be a real secret.
func (f *simFront) welcome(cfg *config.Config, where string) string {
	var b, needs strings.Builder
	fmt.Fprintf(&b, "A stand-in for Tencent Cloud Chat, for trying timbridge out, is at %s. Nothing is kept.\n", f.url)
	if address, err := netip.ParseAddrPort(f.listener.Addr().String()); err != nil || !address.Addr().IsLoopback() {
		b.WriteString("Who reaches that address can act as everybody here.\n")
	}
	if cfg.Tencent.Mode != config.ModeCloud {
		needs.WriteString("      mode: cloud\n")
	}
	if strings.TrimRight(cfg.Tencent.BaseURL, "/") != f.url {
		fmt.Fprintf(&needs, "      base_url: %s\n", f.url)
	}
	if cfg.Tencent.SDKAppID == 0 {
		fmt.Fprintf(&needs, "      sdk_app_id: %d\n", f.server.SDKAppID())
	}
	if cfg.Tencent.SecretKey == "" {
		fmt.Fprintf(&needs, "      secret_key: %s\n", f.server.SecretKey())
	}
	if len(cfg.Tencent.Admins) == 0 {
		fmt.Fprintf(&needs, "      admins: [%s]\n", f.server.Admin())
	}
	if token := f.plan.options.Hook.Token; token != "" && token != string(cfg.Tencent.Webhook.Token) {
		fmt.Fprintf(&needs, "      webhook:\n          token: %s\n", token)
	}
	if needs.Len() > 0 {
		fmt.Fprintf(&b, "\nFor it, set in %s:\n\n  tencent:\n%s\n", where, needs.String())
	} else {
		fmt.Fprintf(&b, "%s is set for it.\n", where)
	}
	fmt.Fprintf(&b, "Webhooks go to %s\nWhat people do is typed here, or posted: curl %s/sim -d 'group create team alice bob'\n\"help\" lists what there is; \"quit\" or Ctrl-C ends it.\n\n", f.plan.webhook, f.url)
	return b.String()
}

// simPrinter prints whole lines from several goroutines.
type simPrinter struct {
	mu  sync.Mutex
	out io.Writer
}

func (p *simPrinter) print(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.out, text) // to whom would we say that it failed
}

// saw prints one line about something that passed.
func (p *simPrinter) saw(kind, name, about, outcome string) {
	if about != "" {
		name += "  " + about
	}
	p.print(fmt.Sprintf("%s  %-7s  %s: %s\n", time.Now().Format(time.TimeOnly), kind, name, outcome))
}
