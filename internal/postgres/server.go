package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Password is in every URI, so that tests can look for it where it must not be. The server itself asks for none.
const Password = "zQ8-password-of-the-database"

const (
	user = "timbridge"
	// nobody is who the server runs as where we are root.
	nobody = 65534
	// startTimeout is for a machine with much else to do.
	startTimeout = time.Minute
)

// Options says what a server is for.
type Options struct {
	// Durable servers write to the disk as a real one does; others leave that out, since a test's data need not outlive a power cut.
	Durable bool
	// Programs is the folder of PostgreSQL's programs; "" is the one of [Find].
	Programs string
	// Settings are further lines of postgresql.conf, such as "max_connections=20".
	Settings []string
}

// Server is a running PostgreSQL. Its methods must not be called at the same time, except for [Server.URI] and [Server.Create].
type Server struct {
	programs string
	folder   string
	settings []string
	guard    *exec.Cmd
	hold     *os.File // as long as it is open the server runs
}

// watch starts the server and waits for a word: the signal that ends the server. Without one, because we have ended, the server
// is ended at once and its files are removed.
const watch = `
"$1/postgres" -D "$2/data" >>"$2/log" 2>&1 &
server=$!
read -r signal
kill -s "${signal:-QUIT}" "$server"
wait "$server"
[ -n "$signal" ] || rm -rf "$2"
`

// Start makes an empty server and starts it. Where there is no PostgreSQL it is [ErrMissing].
func Start(ctx context.Context, opts Options) (*Server, error) {
	programs := opts.Programs
	if programs == "" {
		var err error
		if programs, err = Find(); err != nil {
			return nil, err
		}
	}
	// A short name: that of a socket has 107 characters at most.
	folder, err := os.MkdirTemp("", "tbpg")
	if err == nil && os.Geteuid() == 0 {
		err = os.Chown(folder, nobody, nobody)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to make folder for PostgreSQL: %w", err)
	}
	s := &Server{programs: programs, folder: folder, settings: append([]string{
		"listen_addresses=''", "unix_socket_directories='" + folder + "'", "max_connections=300", "shared_buffers=64MB", "max_wal_size=1GB",
		"wal_level=minimal", "max_wal_senders=0",
	}, opts.Settings...)}
	if !opts.Durable {
		s.settings = append(s.settings, "fsync=off", "full_page_writes=off")
	}
	if err = s.initialize(ctx); err == nil {
		err = s.Run(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return s, nil
}

// initialize makes the server's files. Its texts are sorted by no plain order of bytes, as in most real databases.
func (s *Server) initialize(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.programs, "initdb"), "-D", s.data(), "-U", user, "-A", "trust", "-E", "UTF8",
		"--no-sync", "--no-instructions", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
	cmd.SysProcAttr, cmd.Dir, cmd.Env = attributes(), s.folder, environment(s.programs)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("failed to make files of PostgreSQL: %w: %s", err, bytes.TrimSpace(out))
	}
	var conf bytes.Buffer
	for _, line := range s.settings {
		fmt.Fprintln(&conf, line)
	}
	if err := os.WriteFile(filepath.Join(s.data(), "postgresql.auto.conf"), conf.Bytes(), 0o644); err != nil { // #nosec G306 -- the server reads it as another user
		return fmt.Errorf("failed to write settings of PostgreSQL: %w", err)
	}
	return nil
}

// Run starts the server again after [Server.Shut].
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	stdin, hold, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("failed to make pipe: %w", err)
	}
	defer stdin.Close()
	cmd := exec.Command("sh", "-c", watch, "sh", s.programs, s.folder) // #nosec G204 -- names of our own
	cmd.SysProcAttr, cmd.Dir, cmd.Env, cmd.Stdin = attributes(), s.folder, environment(s.programs), stdin
	if err = cmd.Start(); err != nil {
		_ = hold.Close()
		return fmt.Errorf("failed to start PostgreSQL: %w", err)
	}
	s.guard, s.hold = cmd, hold
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = s.admin(ctx, "SELECT 1"); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.folder, "log"))
			_ = s.Stop()
			return fmt.Errorf("failed to start PostgreSQL: %w: %s", err, bytes.TrimSpace(log))
		}
	}
}

// Shut ends the server and keeps its files: with SIGINT in order, with SIGQUIT as in a crash.
func (s *Server) Shut(sig syscall.Signal) error {
	name := "INT"
	if sig == syscall.SIGQUIT {
		name = "QUIT"
	}
	if _, err := s.hold.WriteString(name + "\n"); err != nil {
		return fmt.Errorf("failed to stop PostgreSQL: %w", err)
	}
	return s.wait()
}

// Stop ends the server and removes its files.
func (s *Server) Stop() error {
	var err error
	if s.guard != nil {
		err = s.wait()
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}

func (s *Server) wait() error {
	_ = s.hold.Close()
	err := s.guard.Wait()
	s.guard, s.hold = nil, nil
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil // the shell passes on how the server ended
	}
	return err
}

// Create makes an empty database and returns its URI.
func (s *Server) Create(ctx context.Context, name string) (uri string, err error) {
	return s.URI(name), s.admin(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
}

// empty makes a database as it was when it was made.
func (s *Server) empty(ctx context.Context, name string) error {
	quoted := pgx.Identifier{name}.Sanitize()
	err := s.do(ctx, name, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	return errors.Join(err, s.do(ctx, name, "DROP SCHEMA public CASCADE; CREATE SCHEMA public; ALTER DATABASE "+quoted+" RESET ALL"))
}

// URI is that of one of the databases.
func (s *Server) URI(database string) string { return s.URIAt(database, s.folder) }

// URIAt is the URI of a database behind a socket in another folder, such as that of a proxy.
func (s *Server) URIAt(database, folder string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(user, Password), Host: "", Path: "/" + database,
		RawQuery: url.Values{"host": {folder}}.Encode(),
	}).String()
}

// Socket is the server's socket; a proxy's has the same name in another folder.
func (s *Server) Socket() string { return filepath.Join(s.folder, ".s.PGSQL.5432") }

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

func (s *Server) admin(ctx context.Context, statement string) error {
	return s.do(ctx, "postgres", statement)
}

func (s *Server) do(ctx context.Context, database, statement string) error {
	conn, err := pgx.Connect(ctx, s.URI(database))
	if err != nil {
		return fmt.Errorf("failed to connect to PostgreSQL: %w", err)
	}
	_, err = conn.Exec(ctx, statement)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("failed to administer PostgreSQL: %w", err)
	}
	return nil
}

// environment lets programs that were only unpacked find the libraries that were unpacked with them.
func environment(programs string) []string {
	root, _, unpacked := strings.Cut(programs, "/usr/lib/postgresql/")
	if !unpacked || root == "" {
		return os.Environ()
	}
	libraries, _ := filepath.Glob(root + "/usr/lib/*-linux-gnu")
	more, _ := filepath.Glob(root + "/lib/*-linux-gnu")
	return append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(append(libraries, more...), ":"))
}

// attributes puts a child into a process group of its own, so that Ctrl-C reaches us alone, and makes it nobody if we are root.
func attributes() *syscall.SysProcAttr {
	out := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		out.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return out
}
