package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/webserver"
)

// writeCertificate writes a certificate of its own making, and its key, into dir.
func writeCertificate(t *testing.T, dir, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	form := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"timbridge.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, private.Public(), private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	write(t, dir, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, dir, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

// TestListenersSpeakTLS runs the program with a certificate for each of its listeners, and calls it with its own subcommands.
func TestListenersSpeakTLS(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir, "cert.pem", "key.pem")
	ports := freePorts(t, 3)
	const tls = "tls: {cert: cert.pem, key: key.pem}"
	text := "homeserver: {address: 'http://127.0.0.1:1', domain: matrix.test}\n" +
		fmt.Sprintf("tencent: {sdk_app_id: 1400000000, secret_key: %s, mode: cloud, base_url: 'http://127.0.0.1:1', webhook: {token: %s, port: %d, %s}}\n", testSecret, testSecret, ports[2], tls) +
		fmt.Sprintf("appservice: {port: %d, as_token: as-%s, hs_token: hs-%s, %s}\nv2tim: {port: %d, %s}\n", ports[0], testSecret, testSecret, tls, ports[1], tls)
	write(t, dir, "config.yaml", text)
	b := &runningBridge{cmd: exec.Command(binary, "-n"), output: &syncBuffer{}, exited: make(chan struct{})}
	b.cmd.Dir, b.cmd.Env, b.cmd.Stdout, b.cmd.Stderr = dir, []string{}, b.output, b.output
	require.NoError(t, b.cmd.Start())
	go func() {
		_ = b.cmd.Wait()
		close(b.exited)
	}()
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		<-b.exited
	})
	trust, err := webserver.LocalTLS(dir + "/cert.pem")
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}, Timeout: patience}
	defer client.CloseIdleConnections()
	get := func(address string) (status int, body string, err error) {
		resp, err := client.Get(address)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(raw), err
	}
	require.Eventually(t, func() bool {
		status, _, err := get(fmt.Sprintf("https://127.0.0.1:%d/_matrix/mau/live", ports[0]))
		return err == nil && status == http.StatusOK
	}, patience, 20*time.Millisecond, "output: %s", b.output)
	for port, says := range map[int]string{ports[1]: "60009", ports[2]: "webhooks are POSTs"} {
		_, body, err := get(fmt.Sprintf("https://127.0.0.1:%d/", port))
		require.NoError(t, err)
		require.Contains(t, body, says)
	}
	for _, port := range ports {
		status, body, err := get(fmt.Sprintf("http://127.0.0.1:%d/_matrix/mau/live", port))
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, body, "HTTPS")
	}

	got := call(t, dir, nil, "-n", "unlink", "@TGS#1")
	require.Equal(t, exitRefused, got.code, got.stderr)
	require.Contains(t, got.stderr, "timbridge knows no such group", "it has been asked, over TLS")
	writeCertificate(t, dir, "other.pem", "other.key")
	got = call(t, dir, []string{"TIMBRIDGE_V2TIM__TLS__CERT=other.pem", "TIMBRIDGE_V2TIM__TLS__KEY=other.key"}, "-n", "unlink", "@TGS#1")
	require.Equal(t, exitNotRunning, got.code)
	require.Contains(t, got.stderr, "another certificate")
	require.NotContains(t, got.stderr+b.output.String(), testSecret)

	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, exitOK, b.waitExit(t), b.output)
}

func TestCertificateThatIsMissing(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "config.yaml", testConfig+testTokens+"v2tim: {tls: {cert: missing.pem, key: missing.key}}\n")
	got := call(t, dir, nil, "-n")
	require.Equal(t, exitStart, got.code, got.stderr)
	require.Contains(t, got.stderr, "failed to set up TLS for V2TIM: failed to find certificate")
	got = call(t, dir, nil, "-n", "unlink", "team")
	require.Equal(t, exitInvalidConfig, got.code, got.stderr)
	require.Contains(t, got.stderr, "v2tim.tls")
}
