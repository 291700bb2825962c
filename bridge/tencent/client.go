package tencent

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config is what a Client is made from. Zero durations, rates and counts stand for the defaults.
type Config struct {
	// SDKAppID and SecretKey are the app's; Identifier is one of its administrators.
	SDKAppID   uint64
	SecretKey  string
	Identifier string
	// Region is one of [Regions]. BaseURL, such as http://127.0.0.1:8080, stands in for it.
	Region  string
	BaseURL string
	// Timeout bounds one request, not counting the wait for the rate limit. Default 10 s.
	Timeout time.Duration
	// CallsPerSecond is the rate of each command that has no other limit. Default 100, half of
	// Tencent's 200. [LIMITS]
	CallsPerSecond float64
	// AccountCallsPerSecond is that of the account commands. Default 50, half of Tencent's 100. [LIMITS]
	AccountCallsPerSecond float64
	// Rates has the rate of single commands by name, such as "group_msg_receipt".
	Rates map[string]float64
	// Concurrency bounds the requests in flight. Default 64.
	Concurrency int
	// UserSigLife is how long a UserSig is valid; it is renewed after half of it. Default 24 h, the
	// least that Tencent suggests.
	UserSigLife time.Duration
	// Transport makes the requests in place of one of the Client's own.
	Transport http.RoundTripper
	// Outcome, if set, is called after calls that show that Tencent is there, or that it is not.
	Outcome func(there bool)
	// Now stands in for time.Now in tests.
	Now func() time.Time
}

func (c *Config) setDefaults() {
	setDefault(&c.Timeout, 10*time.Second)
	setDefault(&c.CallsPerSecond, 100)
	setDefault(&c.AccountCallsPerSecond, 50)
	setDefault(&c.Concurrency, 64)
	setDefault(&c.UserSigLife, 24*time.Hour)
	if c.Now == nil {
		c.Now = time.Now
	}
}

func setDefault[T int | int64 | float64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

func (c *Config) validate() error {
	switch {
	case c.SDKAppID == 0 || c.SDKAppID > math.MaxInt32:
		return fmt.Errorf("sdkappid %d is out of range", c.SDKAppID)
	case c.SecretKey == "":
		return errors.New("the secret key is missing")
	case !validID(c.Identifier):
		return errors.New("the identifier of an administrator is missing")
	case c.Timeout < 0 || c.Concurrency < 0:
		return errors.New("timeout and concurrency cannot be negative")
	case c.UserSigLife < time.Minute || c.UserSigLife > 50*365*24*time.Hour:
		return fmt.Errorf("a usersig cannot be valid for %s", c.UserSigLife)
	}
	for name, perSecond := range c.Rates {
		if _, known := commands()[command(name)]; !known {
			return fmt.Errorf("there is no command %q", name)
		}
		if !(perSecond > 0) {
			return fmt.Errorf("the rate of %s must be more than 0", name)
		}
	}
	if !(c.CallsPerSecond > 0) || !(c.AccountCallsPerSecond > 0) {
		return errors.New("a rate must be more than 0")
	}
	return nil
}

// Client calls Tencent's server API. It makes each request once and says by the error what became of
// it, see the package's documentation. Its methods are safe for concurrent use.
type Client struct {
	cfg      Config
	sig      userSig
	http     *http.Client
	slots    chan struct{}
	commands map[command]endpoint
}

// endpoint is one command: its URL without the query, and its rate limit.
type endpoint struct {
	url     string
	limiter *limiter
}

// New makes a Client; nothing is sent yet. Close ends it.
func New(cfg Config) (*Client, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("failed to make client of Tencent: %w", err)
	}
	base, err := baseURL(cfg)
	if err != nil {
		return nil, fmt.Errorf("failed to make client of Tencent: %w", err)
	}
	c := &Client{
		cfg:      cfg,
		sig:      userSig{sdkAppID: int(cfg.SDKAppID), secret: cfg.SecretKey, identifier: cfg.Identifier, life: cfg.UserSigLife, now: cfg.Now},
		http:     newHTTPClient(cfg),
		slots:    make(chan struct{}, cfg.Concurrency),
		commands: make(map[command]endpoint),
	}
	for name, spec := range commands() {
		perSecond := cfg.CallsPerSecond
		switch {
		case cfg.Rates[string(name)] > 0:
			perSecond = cfg.Rates[string(name)]
		case spec.perSecond > 0:
			perSecond = spec.perSecond
		case spec.service == serviceAccount:
			perSecond = cfg.AccountCallsPerSecond
		}
		c.commands[name] = endpoint{
			url:     base + "/v4/" + spec.service + "/" + string(name),
			limiter: newLimiter(perSecond, cfg.Now),
		}
	}
	return c, nil
}

func baseURL(cfg Config) (string, error) {
	if cfg.BaseURL == "" {
		return RegionURL(cfg.Region)
	}
	u, err := url.Parse(cfg.BaseURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.User != nil {
		return "", errors.New("the base URL is not of the form https://host") // it may have a password in it
	}
	return strings.TrimSuffix(cfg.BaseURL, "/"), nil
}

// newHTTPClient keeps as many connections as there can be requests. It follows no redirects: they
// would take the UserSig to another place.
func newHTTPClient(cfg Config) *http.Client {
	transport := cfg.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			ForceAttemptHTTP2:   true,
			MaxIdleConns:        cfg.Concurrency,
			MaxIdleConnsPerHost: cfg.Concurrency,
			IdleConnTimeout:     90 * time.Second,
			TLSHandshakeTimeout: 5 * time.Second,
		}
	}
	return &http.Client{
		Transport:     transport,
		Timeout:       cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close closes idle connections. Calls under way are the caller's to end, by their contexts.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Rate returns how many calls per second of a command, such as "group_msg_receipt", are let through
// now: the configured rate, or less after Tencent complained. It returns 0 for an unknown command.
func (c *Client) Rate(name string) float64 {
	e, ok := c.commands[command(name)]
	if !ok {
		return 0
	}
	return e.limiter.rate()
}
