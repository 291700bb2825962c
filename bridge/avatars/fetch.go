package avatars

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// What is fetched at most, and for how long.
const (
	// MaxBytes is the largest picture.
	MaxBytes = 2 << 20
	// Timeout bounds one Fetch, redirects and all.
	Timeout = 10 * time.Second
	// MaxRedirects is how many redirects are followed.
	MaxRedirects = 3
	// Concurrency is how many Fetches run at once; more wait for their turn.
	Concurrency = 4

	maxURL    = 2048
	maxHeader = 64 << 10
)

// What can be wrong with a URL or what is behind it. All of these are final: the same URL will not do better later. Every
// other error may be gone at the next try.
var (
	// ErrURL: not an http or https URL that is fetched; of a redirect too.
	ErrURL = errors.New("not a URL to fetch")
	// ErrAddress: the name leads to an address that is refused.
	ErrAddress = errors.New("not a public address")
	// ErrRedirects: more than MaxRedirects.
	ErrRedirects = errors.New("too many redirects")
	// ErrStatus: the server says that it has, or gives, no such picture (4xx but 408, 425 and 429, or no 200).
	ErrStatus = errors.New("refused by the server")
	// ErrTooLarge: more than MaxBytes.
	ErrTooLarge = errors.New("larger than a picture may be")
	// ErrNoPicture: what came is no picture of a kind that is taken (PNG, JPEG, GIF, WebP, BMP, ICO; never SVG).
	ErrNoPicture = errors.New("not a picture")
)

// Picture is what was fetched.
type Picture struct {
	Data []byte
	// ContentType is what the first bytes of Data say, such as "image/png"; what the server said is not believed.
	ContentType string
}

// Fetcher fetches pictures. It is safe for concurrent use and keeps neither connections nor cookies.
type Fetcher struct {
	client *http.Client
	slots  chan struct{}
	// refuse decides at connect time whether an address is refused.
	refuse func(netip.AddrPort) error
}

// New returns a Fetcher. With allowPrivate it connects to any address, and through the proxy that the environment names;
// without, only to public addresses, and directly: a proxy would look up the names itself, out of our sight.
func New(allowPrivate bool) *Fetcher {
	f := &Fetcher{slots: make(chan struct{}, Concurrency), refuse: refusePrivate}
	if allowPrivate {
		f.refuse = func(netip.AddrPort) error { return nil }
	}
	dialer := &net.Dialer{Timeout: Timeout, Control: f.control}
	transport := &http.Transport{
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: Timeout,
		// Many hosts, each asked once: an idle connection would only wait to be closed.
		DisableKeepAlives: true,
		// Compressed pictures gain nothing, and what unfolds can be huge.
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	if allowPrivate {
		transport.Proxy = http.ProxyFromEnvironment
	}
	f.client = &http.Client{Transport: transport, Timeout: Timeout, CheckRedirect: checkRedirect}
	return f
}

// control is called for each address of a name, before the connection is made.
func (f *Fetcher) control(_, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return ErrAddress
	}
	return f.refuse(addr)
}

func refusePrivate(addr netip.AddrPort) error {
	if !public(addr.Addr()) {
		return ErrAddress
	}
	return nil
}

// Fetch gets the picture at a URL. Errors never hold the URL, which may carry a token.
func (f *Fetcher) Fetch(ctx context.Context, address string) (Picture, error) {
	picture, err := f.fetch(ctx, address)
	if err != nil {
		return Picture{}, fmt.Errorf("failed to fetch picture: %w", withoutURL(err))
	}
	return picture, nil
}

func (f *Fetcher) fetch(ctx context.Context, address string) (picture Picture, err error) {
	if len(address) > maxURL {
		return picture, ErrURL
	}
	parsed, err := url.Parse(strings.TrimSpace(address))
	if err != nil {
		return picture, ErrURL
	} else if err = checkURL(parsed); err != nil {
		return picture, err
	}
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return picture, ctx.Err()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, parsed.String(), nil)
	if err != nil {
		return picture, ErrURL
	}
	req.Header.Set("Accept", "image/png, image/jpeg, image/gif, image/webp, image/*;q=0.5")
	req.Header.Set("User-Agent", "timbridge")
	resp, err := f.client.Do(req)
	if err != nil {
		return picture, err
	}
	defer resp.Body.Close()
	if err = checkStatus(resp.StatusCode); err != nil {
		return picture, err
	}
	if resp.ContentLength > MaxBytes {
		return picture, ErrTooLarge
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, MaxBytes+1))
	if err != nil {
		return picture, err
	} else if len(data) > MaxBytes {
		return picture, ErrTooLarge
	}
	// SVG, which may hold scripts and links, is text to this and so no picture.
	contentType := http.DetectContentType(data)
	if !strings.HasPrefix(contentType, "image/") || strings.Contains(contentType, "svg") {
		return picture, ErrNoPicture
	}
	return Picture{Data: data, ContentType: contentType}, nil
}

// checkURL takes http and https with a host and without a user, whose password would be sent along.
func checkURL(u *url.URL) error {
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return ErrURL
	}
	return nil
}

// checkRedirect looks at every hop. From https there is no way back to http. The address of each hop is looked at when it is
// connected to.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > MaxRedirects {
		return ErrRedirects
	}
	if err := checkURL(req.URL); err != nil || len(req.URL.String()) > maxURL {
		return ErrURL
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return ErrURL
	}
	req.Header.Del("Referer") // the URL before may carry a token
	return nil
}

func checkStatus(status int) error {
	switch {
	case status == http.StatusOK:
		return nil
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return fmt.Errorf("the server is not ready: HTTP %d", status)
	default:
		return fmt.Errorf("%w: HTTP %d", ErrStatus, status)
	}
}

// withoutURL strips what net/http says of the request from an error, and what package net says of the address.
func withoutURL(err error) error {
	for _, final := range []error{ErrURL, ErrAddress, ErrRedirects} {
		if errors.Is(err, final) {
			return final
		}
	}
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err
	}
	return err
}

// Final tells whether an error of Fetch will be the same at the next try.
func Final(err error) bool {
	for _, final := range []error{ErrURL, ErrAddress, ErrRedirects, ErrStatus, ErrTooLarge, ErrNoPicture} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}
