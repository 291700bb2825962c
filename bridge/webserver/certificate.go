package webserver

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

// certificate is a pair of files, read again when one of them has changed: who renews a certificate has nothing else to do. While the
// new pair cannot be used, as when only one file has been replaced so far, the old one is shown. Safe for concurrent use.
type certificate struct {
	certFile, keyFile string
	log               zerolog.Logger
	failing           rate.Sometimes

	mu      sync.Mutex
	version [2]version // of what is shown
	shown   *tls.Certificate
}

// version tells one content of a file from another.
type version struct {
	changed time.Time
	size    int64
}

// newCertificate reads the pair for the first time.
func newCertificate(certFile, keyFile string, log zerolog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, failing: rate.Sometimes{Interval: time.Minute}}
	if err := c.look(); err != nil {
		return nil, err
	}
	return c, nil
}

// look reads the pair if it has changed.
func (c *certificate) look() error {
	var found [2]version
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("failed to find certificate: %w", err)
		}
		found[i] = version{changed: info.ModTime(), size: info.Size()}
	}
	if c.shown != nil && found == c.version {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("failed to read certificate: %w", err)
	}
	if c.shown != nil {
		c.log.Info().Str("file", c.certFile).Msg("The certificate has changed")
	}
	c.version, c.shown = found, &pair
	return nil
}

// get is for [tls.Config.GetCertificate].
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.look(); err != nil {
		c.failing.Do(func() {
			c.log.Error().Err(err).Str("file", c.certFile).Msg("Failed to read the changed certificate, showing the old one")
		})
	}
	return c.shown, nil
}

// serverTLS is how connections are protected. What is weaker than TLS 1.2 is refused; the rest is Go's choice.
func (c *certificate) serverTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"http/1.1"}}
}

// errOtherCertificate: somebody else answers where we should.
var errOtherCertificate = errors.New("the server shows another certificate than the configured one")

// LocalTLS is for programs on this machine that call a listener by its address, for which its certificate need not be made out: they
// believe the server that shows the very certificate in certFile, and no other.
func LocalTLS(certFile string) (*tls.Config, error) {
	text, err := os.ReadFile(certFile) // #nosec G304 -- the operator's own configuration names it
	if err != nil {
		return nil, fmt.Errorf("failed to read certificate: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("failed to read certificate: %s is not one in PEM", certFile)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // #nosec G402 -- VerifyConnection is stricter
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || !bytes.Equal(state.PeerCertificates[0].Raw, block.Bytes) {
				return errOtherCertificate
			}
			return nil
		},
	}, nil
}
