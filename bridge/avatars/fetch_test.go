package avatars

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const png = "\x89PNG\r\n\x1a\n…"

// serve starts a server on a loopback address whose paths do what their names say.
func serve(t *testing.T) *httptest.Server {
	t.Helper()
	give := func(data string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(data)) }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/png", give(png))
	mux.HandleFunc("/gif", give("GIF89a…"))
	mux.HandleFunc("/jpeg", give("\xff\xd8\xff…"))
	mux.HandleFunc("/webp", give("RIFF\x00\x00\x00\x00WEBPVP8 "))
	mux.HandleFunc("/empty", give(""))
	mux.HandleFunc("/html", give("<html>a page</html>"))
	mux.HandleFunc("/liar", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write([]byte("#!/bin/sh"))
	})
	mux.HandleFunc("/svg", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		_, _ = w.Write([]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`))
	})
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write([]byte(png))
		_ = z.Close()
	})
	mux.HandleFunc("/largest", give(png+strings.Repeat("x", MaxBytes-len(png))))
	mux.HandleFunc("/too-large", give(png+strings.Repeat("x", MaxBytes-len(png)+1)))
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for block := bytes.Repeat([]byte("x"), 64<<10); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 2*maxHeader))
		_, _ = w.Write([]byte(png))
	})
	mux.HandleFunc("/status/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscan(r.PathValue("n"), &n)
		w.WriteHeader(n)
	})
	mux.HandleFunc("/hops/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscan(r.PathValue("n"), &n)
		if n == 0 {
			if r.Header.Get("Referer") != "" {
				w.WriteHeader(http.StatusTeapot)
			}
			_, _ = w.Write([]byte(png))
			return
		}
		http.Redirect(w, r, fmt.Sprintf("/hops/%d", n-1), http.StatusFound)
	})
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("url"))
		w.WriteHeader(http.StatusFound)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestFetch(t *testing.T) {
	server := serve(t)
	f := New(true)
	for path, want := range map[string]struct {
		contentType string
		err         error
	}{
		"/png":        {contentType: "image/png"},
		"/gif":        {contentType: "image/gif"},
		"/jpeg":       {contentType: "image/jpeg"},
		"/webp":       {contentType: "image/webp"},
		"/largest":    {contentType: "image/png"},
		"/hops/3":     {contentType: "image/png"},
		"/hops/4":     {err: ErrRedirects},
		"/empty":      {err: ErrNoPicture},
		"/html":       {err: ErrNoPicture},
		"/liar":       {err: ErrNoPicture},
		"/svg":        {err: ErrNoPicture},
		"/bomb":       {err: ErrNoPicture},
		"/too-large":  {err: ErrTooLarge},
		"/endless":    {err: ErrTooLarge},
		"/status/404": {err: ErrStatus},
		"/status/204": {err: ErrStatus},
		"/status/401": {err: ErrStatus},
		"/nothing":    {err: ErrStatus},

		"/to?url=file:///etc/passwd":              {err: ErrURL},
		"/to?url=ftp://example.org/x":             {err: ErrURL},
		"/to?url=http://user:password@localhost/": {err: ErrURL},
		"/to?url=http:///png":                     {err: ErrURL},
		"/to?url=/png":                            {contentType: "image/png"},
		"/to?url=/" + strings.Repeat("x", maxURL): {err: ErrURL},
	} {
		t.Run(path[:min(len(path), 40)], func(t *testing.T) {
			picture, err := f.Fetch(t.Context(), server.URL+path)
			require.Equal(t, want.contentType, picture.ContentType)
			if want.err == nil {
				require.NoError(t, err)
				require.NotEmpty(t, picture.Data)
				return
			}
			if len(server.URL+path) <= maxURL {
				require.ErrorIs(t, err, want.err)
			}
			require.True(t, Final(err))
			require.Empty(t, picture.Data)
		})
	}
}

func TestFetchTemporary(t *testing.T) {
	server := serve(t)
	f := New(true)
	for _, path := range []string{"/status/500", "/status/503", "/status/429", "/status/408", "/headers"} {
		_, err := f.Fetch(t.Context(), server.URL+path+"?token=secret")
		require.Error(t, err)
		require.False(t, Final(err), path)
		require.NotContains(t, err.Error(), "secret")
	}
	server.Close()
	_, err := f.Fetch(t.Context(), server.URL+"/png?token=secret")
	require.Error(t, err)
	require.False(t, Final(err))
	require.NotContains(t, err.Error(), "secret")
}

func TestFetchURLs(t *testing.T) {
	f := New(true)
	for _, address := range []string{
		"", "x", "/png", "//example.org/png", "file:///etc/passwd", "ftp://example.org/a.png", "gopher://example.org/", "data:image/png;base64,eA==",
		"javascript:alert(1)", "http://", "http:///png", "http:example.org", "https://user@example.org/", "https://user:password@example.org/",
		"http://[::1", "http://a b/", "mxc://example.org/abc", "http://example.org/" + strings.Repeat("x", maxURL),
	} {
		_, err := f.Fetch(t.Context(), address)
		require.ErrorIs(t, err, ErrURL, address)
	}
}

// TestPrivateAddresses: whatever the name says, what counts is the address that is connected to.
func TestPrivateAddresses(t *testing.T) {
	server := serve(t)
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	f := New(false)
	for _, host := range []string{
		"127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]",
		"169.254.169.254", "100.100.100.200", "10.0.0.1", "[fd00::1]", "[fe80::1]",
	} {
		_, err := f.Fetch(t.Context(), "http://"+host+port+"/png")
		require.ErrorIs(t, err, ErrAddress, host)
	}
	_, err := f.Fetch(t.Context(), server.URL+"/png")
	require.ErrorIs(t, err, ErrAddress)
	require.NotContains(t, err.Error(), "127.0.0.1")
}

// TestRedirectToPrivate: the first hop is public (as far as this test goes), the second is not.
func TestRedirectToPrivate(t *testing.T) {
	first, second := serve(t), serve(t)
	f := New(false)
	open := netip.MustParseAddrPort(strings.TrimPrefix(first.URL, "http://"))
	f.refuse = func(addr netip.AddrPort) error {
		if addr == open {
			return nil
		}
		return refusePrivate(addr)
	}
	_, err := f.Fetch(t.Context(), first.URL+"/png")
	require.NoError(t, err)
	_, err = f.Fetch(t.Context(), first.URL+"/to?url="+second.URL+"/png")
	require.ErrorIs(t, err, ErrAddress)
}

func TestNoWayBackToPlainHTTP(t *testing.T) {
	plain := serve(t)
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL+"/png", http.StatusFound))
	t.Cleanup(secure.Close)
	f := New(true)
	f.client.Transport.(*http.Transport).TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig
	_, err := f.Fetch(t.Context(), secure.URL)
	require.ErrorIs(t, err, ErrURL)
}

func TestNoProxy(t *testing.T) {
	require.Nil(t, New(false).client.Transport.(*http.Transport).Proxy, "a proxy would connect for us, to wherever")
	require.NotNil(t, New(true).client.Transport.(*http.Transport).Proxy)
}

func TestFetchBounded(t *testing.T) {
	var running, most atomic.Int32
	entered, release := make(chan struct{}, 3*Concurrency), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		most.Store(max(most.Load(), running.Add(1)))
		entered <- struct{}{}
		<-release
		running.Add(-1)
		_, _ = w.Write([]byte(png))
	}))
	t.Cleanup(server.Close)
	f := New(true)
	require.Equal(t, Timeout, f.client.Timeout)
	var wg sync.WaitGroup
	for range 3 * Concurrency {
		wg.Go(func() {
			if _, err := f.Fetch(t.Context(), server.URL); err != nil {
				t.Errorf("failed: %v", err)
			}
		})
	}
	for range Concurrency {
		<-entered
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := f.Fetch(ctx, server.URL)
	require.ErrorIs(t, err, context.DeadlineExceeded, "waits for its turn no longer than it may")
	close(release)
	wg.Wait()
	require.LessOrEqual(t, most.Load(), int32(Concurrency))
}

func TestFetchCancelled(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-release
	}))
	t.Cleanup(server.Close)
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	_, err := New(true).Fetch(ctx, server.URL)
	require.True(t, errors.Is(err, context.Canceled))
}
