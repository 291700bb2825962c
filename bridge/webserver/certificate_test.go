package webserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func contextThatEnded(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

// selfMade returns a certificate for localhost and its key, in PEM.
func selfMade(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, private.Public(), private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// files are a certificate on the disk. Each writing gets a time of its own, as it has where certificates live for months.
type files struct {
	cert, key string
	written   time.Time
}

func newFiles(t *testing.T, name string) *files {
	dir := t.TempDir()
	f := &files{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), written: time.Now().Add(-time.Hour)}
	cert, key := selfMade(t, name)
	f.write(t, f.cert, cert)
	f.write(t, f.key, key)
	return f
}

func (f *files) write(t *testing.T, name string, content []byte) {
	t.Helper()
	f.written = f.written.Add(time.Second)
	require.NoError(t, os.WriteFile(name, content, 0o600))
	require.NoError(t, os.Chtimes(name, f.written, f.written))
}

// shownBy tells whose certificate a server shows, and what it answers.
func shownBy(t *testing.T, s *Server, cfg *tls.Config) (name, body string, err error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + s.Addr().String() + "/")
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, 1, resp.ProtoMajor, "no HTTP/2")
	return resp.TLS.PeerCertificates[0].Subject.CommonName, string(text), nil
}

func TestTLSWithACertificateThatChanges(t *testing.T) {
	f := newFiles(t, "first")
	s, log := start(t, hello, func(cfg *Config) { cfg.CertFile, cfg.KeyFile = f.cert, f.key })
	anybody := &tls.Config{InsecureSkipVerify: true}
	shows := func(want string) {
		t.Helper()
		name, body, err := shownBy(t, s, anybody)
		require.NoError(t, err)
		require.Equal(t, want, name)
		require.Equal(t, "hello", body)
	}
	shows("first")
	cert, key := selfMade(t, "second")
	f.write(t, f.cert, cert)
	shows("first") // the key is not there yet
	f.write(t, f.key, key)
	shows("second")
	f.write(t, f.cert, []byte("nonsense"))
	shows("second")
	require.NoError(t, os.Remove(f.key))
	shows("second")
	cert, key = selfMade(t, "third")
	f.write(t, f.key, key)
	f.write(t, f.cert, cert)
	shows("third")
	require.Contains(t, log.String(), "showing the old one")
	require.Contains(t, log.String(), "The certificate has changed")
	require.NotContains(t, log.String(), "PRIVATE")

	// Who does not speak TLS, or an old one, gets nothing.
	require.Contains(t, ask(t, dial(t, s), "/"), "HTTPS")
	_, _, err := shownBy(t, s, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11})
	require.Error(t, err)
}

func TestConnectionsCountUnderTLS(t *testing.T) {
	f := newFiles(t, "first")
	s, _ := start(t, hello, func(cfg *Config) { cfg.CertFile, cfg.KeyFile, cfg.MaxConnections = f.cert, f.key, 2 })
	first, second := dial(t, s), dial(t, s) // which never begin their handshake
	waitOpen(t, s, 2)
	for range 3 {
		_, body, err := shownBy(t, s, &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, err)
		require.Equal(t, "hello", body)
	}
	ended(t, first)
	_ = second
}

func TestLocalTLSBelievesOneCertificateOnly(t *testing.T) {
	f, other := newFiles(t, "ours"), newFiles(t, "theirs")
	s, _ := start(t, hello, func(cfg *Config) { cfg.CertFile, cfg.KeyFile = f.cert, f.key })
	cfg, err := LocalTLS(f.cert)
	require.NoError(t, err)
	name, _, err := shownBy(t, s, cfg)
	require.NoError(t, err)
	require.Equal(t, "ours", name)
	cfg, err = LocalTLS(other.cert)
	require.NoError(t, err)
	_, _, err = shownBy(t, s, cfg)
	require.ErrorIs(t, err, errOtherCertificate)
	for _, name := range []string{"missing", f.key} {
		_, err = LocalTLS(name)
		require.Error(t, err)
	}
}
