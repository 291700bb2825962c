package mapping

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// ExportStore is where records come from. Package mappingdb has one.
type ExportStore interface {
	// ExportRecords calls fn for everything that is stored, in an order that Import
	// can take and that is always the same. It ends with the first error of fn.
	ExportRecords(ctx context.Context, fn func(Record) error) error
}

// Export writes everything that is stored as records, one a line (see [Record]).
// Importing them into an empty store makes it equal, and exporting that gives the
// same bytes. Anchors are not exported. It returns the number of records. Memory
// use does not depend on how many there are.
func Export(ctx context.Context, w io.Writer, store ExportStore) (records int64, err error) {
	out := bufio.NewWriterSize(w, 256<<10)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	err = store.ExportRecords(ctx, func(rec Record) error {
		records++
		return enc.Encode(rec)
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return records, fmt.Errorf("failed to export: %w", err)
	}
	return records, nil
}
