package mapping

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// importBatch is how many records go into one transaction.
	importBatch = 1000
	// maxLineErrors is how many bad lines are told before giving up.
	maxLineErrors = 100
)

// ImportStore is where records go. Package mappingdb has one.
type ImportStore interface {
	// ImportRecords stores records that Validate has passed, all in one transaction or,
	// if one of them is refused, none. It returns how many of them were news, and the
	// refusals by index; err is for failures that are not about a record.
	ImportRecords(ctx context.Context, recs []Record) (news int, refused map[int]error, err error)
}

// ImportOptions are for Import; the zero value is good.
type ImportOptions struct {
	// Resume is a number of lines that need not be looked at again because an earlier
	// ImportResult counted them in Done. It only saves time: lines that are stored
	// already change nothing.
	Resume int64
	// Total is the size of the input in bytes, passed on to Progress.
	Total int64
	// Progress, if not nil, is called after each batch with the bytes read so far.
	Progress func(done, total int64)
}

// ImportResult is how far an import came.
type ImportResult struct {
	// Lines is the number of lines read, Done how many of them, from the first on, are
	// now stored.
	Lines, Done int64
	// News is how many records were not stored before.
	News int64
}

// LineError is what is wrong with a line. The first line is 1.
type LineError struct {
	Line int64
	Err  error
}

// ImportError tells the lines that are wrong, 100 at most.
type ImportError struct {
	Lines []LineError
	// More: there were further ones that have not been looked for.
	More bool
}

// Error lists the lines, one a line.
func (e *ImportError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d bad lines", len(e.Lines))
	if e.More {
		b.WriteString(" (and perhaps more)")
	}
	for _, line := range e.Lines {
		fmt.Fprintf(&b, "\nline %d: %s", line.Line, line.Err)
	}
	return b.String()
}

// Import reads records, one a line, and stores them in batches of 1,000. Empty
// lines are skipped. All lines are checked: of a batch with a bad line, and of all
// that come after, nothing is stored, but the rest is still read and checked by
// itself; then an *ImportError tells the lines. Interrupted, it goes on where it
// was when it is called again with the same input. The result says how far it came,
// also with an error. Memory use does not depend on the length of the input.
func Import(ctx context.Context, r io.Reader, store ImportStore, opts ImportOptions) (ImportResult, error) {
	im := importer{store: store, opts: opts, lines: lineReader{r: bufio.NewReaderSize(r, MaxRecord+2)}}
	err := im.run(ctx)
	return im.result, err
}

type importer struct {
	store  ImportStore
	opts   ImportOptions
	lines  lineReader
	result ImportResult

	batch   []Record
	batchAt []int64 // line of each record in batch
	bad     ImportError
}

func (im *importer) run(ctx context.Context) error {
	for !im.bad.More {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("failed to import: %w", err)
		}
		line, err := im.lines.next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil && !errors.Is(err, ErrInvalid) {
			return fmt.Errorf("failed to read line %d: %w", im.result.Lines+1, err)
		}
		im.result.Lines++
		im.take(line, err)
		if len(im.batch) == importBatch {
			if err = im.flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := im.flush(ctx); err != nil {
		return err
	} else if len(im.bad.Lines) > 0 {
		return &im.bad
	}
	return nil
}

// take checks a line by itself and keeps its record.
func (im *importer) take(line []byte, err error) {
	if line = bytes.TrimSpace(line); err == nil && len(line) == 0 {
		return
	}
	var rec Record
	if err == nil {
		rec, err = ParseRecord(line)
	}
	if err != nil {
		im.complain(im.result.Lines, err)
	} else if im.result.Lines > im.opts.Resume {
		im.batch = append(im.batch, rec)
		im.batchAt = append(im.batchAt, im.result.Lines)
	}
}

// flush stores the batch, unless there was a bad line in it or before it.
func (im *importer) flush(ctx context.Context) error {
	batch, at := im.batch, im.batchAt
	im.batch, im.batchAt = im.batch[:0], im.batchAt[:0]
	if im.opts.Progress != nil {
		im.opts.Progress(im.lines.done, im.opts.Total)
	}
	if len(im.bad.Lines) > 0 {
		return nil
	}
	if len(batch) > 0 {
		news, refused, err := im.store.ImportRecords(ctx, batch)
		if err != nil {
			return fmt.Errorf("failed to import lines %d to %d: %w", at[0], at[len(at)-1], err)
		}
		for i := range batch {
			if refused[i] != nil {
				im.complain(at[i], refused[i])
			}
		}
		if len(refused) > 0 {
			return nil
		}
		im.result.News += int64(news)
	}
	im.result.Done = im.result.Lines
	return nil
}

func (im *importer) complain(line int64, err error) {
	if len(im.bad.Lines) == maxLineErrors {
		im.bad.More = true
		return
	}
	im.bad.Lines = append(im.bad.Lines, LineError{line, err})
}

// lineReader reads lines of bounded length.
type lineReader struct {
	r    *bufio.Reader
	done int64
}

// next returns the next line with its end, valid until the next call. A line that
// is too long is passed over and ErrInvalid returned, so that those after it are
// still found. io.EOF is returned after the last.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	l.done += int64(len(line))
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = l.r.ReadSlice('\n')
			l.done += int64(len(line))
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, tooLong()
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil // the last line needs no end
	}
	if err == nil && len(bytes.TrimRight(line, "\r\n")) > MaxRecord {
		return nil, tooLong()
	}
	return line, err
}

func tooLong() error {
	return fmt.Errorf("%w record: the line is longer than %d bytes", ErrInvalid, MaxRecord)
}
