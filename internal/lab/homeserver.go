package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Domain is the server name of every homeserver here.
const Domain = "localhost"

// Times that a start and a stop may take. A cold Synapse on a busy two-core machine needs most.
const (
	startTimeout = 2 * time.Minute
	stopGrace    = 20 * time.Second
	pollInterval = 50 * time.Millisecond
)

// Options says how a homeserver is started. The zero value is a homeserver without application services in a folder
// that is removed when it stops for good.
type Options struct {
	// AppServices are paths of registration files (YAML), which must exist and stay where they are.
	AppServices []string
	// Dir is the folder for configuration, database and log; made if need be, kept at the end. Empty: a temporary
	// folder, removed by Close.
	Dir string
	// Port on 127.0.0.1; 0 picks a free one.
	Port int
}

// Homeserver is a real homeserver in a process of its own, listening on 127.0.0.1, open to anybody who knows the
// shared secret: for tests only. It is safe for concurrent use.
type Homeserver struct {
	Kind Kind

	dir     string
	tempDir bool
	port    int
	command serverCommand
	client  *http.Client

	mu   sync.Mutex // held over a whole start or stop
	proc *process   // nil while stopped
}

// serverCommand is what differs between homeservers: how to write the configuration, and how to run it.
type serverCommand interface {
	configure(ctx context.Context, hs *Homeserver, opts Options) error
	// args returns the program, its arguments and what it prints when its port is taken.
	args(hs *Homeserver) []string
	// close ends what configure has started, after the homeserver itself.
	close() error
}

// Start configures and starts a homeserver and returns when it answers requests. The caller must call Close.
// It fails with a *[MissingError] when the homeserver is not on this machine. It lives on when ctx ends.
func Start(ctx context.Context, kind Kind, opts Options) (*Homeserver, error) {
	tool, err := toolDir(string(kind))
	if err != nil {
		return nil, err
	}
	hs := &Homeserver{Kind: kind, dir: opts.Dir, port: opts.Port, client: &http.Client{Transport: newTransport()}}
	switch kind {
	case Synapse:
		hs.command = synapse{tool}
	case Dendrite:
		hs.command = &dendrite{tool: tool}
	default:
		return nil, fmt.Errorf("failed to start homeserver: unknown kind %q", kind)
	}
	if hs.dir == "" {
		hs.tempDir = true
		if hs.dir, err = os.MkdirTemp("", "timbridge-"+string(kind)+"-"); err != nil {
			return nil, fmt.Errorf("failed to make folder of %s: %w", kind, err)
		}
	} else if hs.dir, err = makeDir(hs.dir); err != nil {
		return nil, err
	}
	if err = hs.prepareAndStart(ctx, opts); err != nil {
		return nil, errors.Join(err, hs.Close())
	}
	return hs, nil
}

// StartSynapse is [Start] of a Synapse.
func StartSynapse(ctx context.Context, opts Options) (*Homeserver, error) {
	return Start(ctx, Synapse, opts)
}

// StartDendrite is [Start] of a Dendrite.
func StartDendrite(ctx context.Context, opts Options) (*Homeserver, error) {
	return Start(ctx, Dendrite, opts)
}

func (hs *Homeserver) prepareAndStart(ctx context.Context, opts Options) (err error) {
	opts.AppServices = slices.Clone(opts.AppServices)
	for i, path := range opts.AppServices {
		if opts.AppServices[i], err = filepath.Abs(path); err != nil {
			return fmt.Errorf("failed to make path of registration absolute: %w", err)
		}
	}
	if hs.port == 0 {
		if hs.port, err = FreePort(); err != nil {
			return err
		}
	}
	if err = hs.command.configure(ctx, hs, opts); err != nil {
		return fmt.Errorf("failed to configure %s: %w", hs.Kind, err)
	}
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.start(ctx)
}

// URL returns the base URL of the client-server API, without a slash at the end.
func (hs *Homeserver) URL() string { return "http://127.0.0.1:" + strconv.Itoa(hs.port) }

// Domain returns the server name, "localhost".
func (hs *Homeserver) Domain() string { return Domain }

// Dir returns the folder of its configuration, database and log.
func (hs *Homeserver) Dir() string { return hs.dir }

// LogPath returns the path of the file with everything that it printed since the first start.
func (hs *Homeserver) LogPath() string { return filepath.Join(hs.dir, "homeserver.log") }

// LogTail returns the last lines of the log, at most 64 KiB of them.
func (hs *Homeserver) LogTail(lines int) string { return tail(hs.LogPath(), lines) }

// Running tells whether its process is there.
func (hs *Homeserver) Running() bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.proc != nil && !hs.proc.ended()
}

// MemoryBytes returns its resident memory (Linux), 0 when it is not known.
func (hs *Homeserver) MemoryBytes() int64 {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.proc == nil {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", hs.proc.os.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib * 1024
		}
	}
	return 0
}

// Stop ends it in order (SIGTERM), or kills it when that takes too long or ctx ends, which is an error. Stopped already:
// nothing happens. Data stays for Restart.
func (hs *Homeserver) Stop(ctx context.Context) error {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.end(func(p *process) error { return p.stop(ctx, stopGrace) })
}

// Kill ends it like a power cut (SIGKILL). Data stays for Restart.
func (hs *Homeserver) Kill() error {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.end((*process).kill)
}

// Restart starts it again, after Stop or Kill or while it runs (then it is stopped first): same data, same port, same
// configuration. It returns when it answers requests.
func (hs *Homeserver) Restart(ctx context.Context) error {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if err := hs.end(func(p *process) error { return p.stop(ctx, stopGrace) }); err != nil {
		return err
	}
	return hs.start(ctx)
}

// Close stops it for good, kills it if it does not stop, and removes its temporary folder. Closing twice is fine.
func (hs *Homeserver) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	err := errors.Join(hs.Stop(ctx), hs.command.close())
	if hs.tempDir {
		err = errors.Join(err, os.RemoveAll(hs.dir))
	}
	return err
}

// end ends the process, if there is one. The lock must be held.
func (hs *Homeserver) end(how func(*process) error) error {
	if hs.proc == nil {
		return nil
	}
	err := how(hs.proc)
	if hs.proc.ended() {
		hs.proc = nil
	}
	hs.client.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("failed to end %s: %w", hs.Kind, err)
	}
	return nil
}

// FreePort returns a port on 127.0.0.1 that nobody listened on a moment ago.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("failed to find free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err = l.Close(); err != nil {
		return 0, fmt.Errorf("failed to free port: %w", err)
	}
	return port, nil
}
