package lab

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// start runs the homeserver and waits until it answers. The lock must be held and hs.proc be nil.
//
// Between FreePort, or a stop, and this start another process may hold the port for a moment (as the near end of some
// connection): then the server ends at once, and is started again until the time is over.
func (hs *Homeserver) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		before := fileSize(hs.LogPath())
		err := hs.launch()
		if err != nil {
			return err
		}
		if err = hs.waitReady(ctx); err == nil {
			return nil
		}
		ended := hs.proc.ended()
		if killErr := hs.end((*process).kill); killErr != nil {
			return killErr
		}
		printed := readFrom(hs.LogPath(), before)
		if !ended || !strings.Contains(strings.ToLower(printed), "address already in use") || ctx.Err() != nil {
			return fmt.Errorf("failed to start %s: %w; it printed:\n%s", hs.Kind, err, lastLines(printed, 30))
		}
		if err = sleep(ctx, 5*pollInterval); err != nil {
			return fmt.Errorf("failed to start %s: port %d stays in use: %w", hs.Kind, hs.port, err)
		}
	}
}

func (hs *Homeserver) launch() error {
	log, err := openLog(hs.LogPath())
	if err != nil {
		return err
	}
	defer log.Close()
	args := hs.command.args(hs)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = hs.dir, log, log
	hs.proc, err = startProcess(cmd)
	return err
}

// waitReady polls until the homeserver answers or has ended.
func (hs *Homeserver) waitReady(ctx context.Context) error {
	for {
		err := hs.ping(ctx)
		if err == nil {
			return nil
		}
		if hs.proc.ended() {
			return fmt.Errorf("it ended (%v)", hs.proc.err)
		}
		if sleepErr := sleep(ctx, pollInterval); sleepErr != nil {
			return fmt.Errorf("it did not answer in time: %w", err)
		}
	}
}

func (hs *Homeserver) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, hs.URL()+"/_matrix/client/versions", nil)
	if err != nil {
		return fmt.Errorf("failed to make request: %w", err)
	}
	resp, err := hs.client.Do(req)
	if err != nil {
		return fmt.Errorf("failed to ask for versions: %w", err)
	}
	defer resp.Body.Close()
	if _, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)); err != nil {
		return fmt.Errorf("failed to read versions: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("failed to ask for versions: status %d", resp.StatusCode)
	}
	return nil
}

// newTransport returns a transport of its own, so that a closed homeserver leaves no connection in the shared one.
func newTransport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second}
}

// sleep waits for d or the end of ctx, which is an error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func makeDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("failed to make folder absolute: %w", err)
	}
	if err = os.MkdirAll(abs, 0o700); err != nil {
		return "", fmt.Errorf("failed to make folder: %w", err)
	}
	return abs, nil
}

// logTailBytes bounds what is read of a log.
const logTailBytes = 64 << 10

func tail(path string, lines int) string {
	return lastLines(readFrom(path, max(0, fileSize(path)-logTailBytes)), lines)
}

// crash finds the line with which a Go program says in its log that it gives up, "" if there is none.
func crash(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadString('\n')
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.TrimSpace(line)
		} else if err != nil {
			return ""
		}
	}
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func readFrom(path string, offset int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.NewSectionReader(f, offset, logTailBytes))
	return string(text)
}

func lastLines(text string, n int) string {
	lines := bytes.Split(bytes.TrimRight([]byte(text), "\n"), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
