package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a long job is: as a bar on a terminal, else as a line
// for every tenth part, so that a log is not filled with bars.
type progress struct {
	out   io.Writer
	verb  string
	bar   *progressbar.ProgressBar
	tenth int64
}

// newProgress begins a job of a size, in bytes or in rows; 0 = unknown.
func newProgress(out io.Writer, verb string, size int64, bytes bool) *progress {
	p := &progress{out: out, verb: verb}
	if !isTerminal(out) {
		return p
	}
	if size == 0 {
		size = -1 // the bar becomes a spinner
	}
	p.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(verb),
		progressbar.OptionShowBytes(bytes), progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetPredictTime(true),
		progressbar.OptionFullWidth())
	return p
}

// at tells that done of total bytes are done.
func (p *progress) at(done, total int64) {
	if p.bar != nil {
		_ = p.bar.Set64(done) // a bar that cannot be drawn is no reason to stop
		return
	}
	if total <= 0 {
		return
	}
	if tenth := done * 10 / total; tenth > p.tenth {
		p.tenth = tenth
		fmt.Fprintf(p.out, "%s: %d%%\n", p.verb, tenth*10)
	}
}

// end leaves the bar where it is and goes to the next line.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Exit()
		fmt.Fprintln(p.out)
	}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
