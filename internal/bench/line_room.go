package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
)

// measureRoom: what things take on disk and in memory.
func measureRoom(ctx context.Context, s *suite) (err error) {
	idle, err := s.idleMemory(ctx)
	if err != nil {
		return err
	}
	s.add(Line{Name: "memory of the idle binary", Unit: "MB", Ours: idle, Targets: []Goal{atMost("≤ 40 MB", idle.Median, 40)}})

	t := town{groups: 20, messages: 2500, matrixUsers: 200}
	b, err := s.newBridge("room", setting{people: t.people()})
	if err != nil {
		return err
	}
	if err = t.seed(ctx, b); err != nil {
		return err
	}
	messages, err := b.size(ctx, "tim_message")
	if err != nil {
		return err
	}
	if err = b.begin(ctx); err != nil {
		return err
	}
	// Everybody reads twice in every group, and not all of them the same: a state is what people have who go on reading.
	w := &walk{town: t}
	var in intake
	err = in.run(ctx, &b.server, w, t.groups*t.matrixUsers*2/perTransaction-7, b.matrixPort, nil)
	if err = errors.Join(err, b.stop()); err != nil { // when it stops, it gathers everything in one file
		return err
	}
	readers, err := b.size(ctx, "tim_reader")
	if err != nil {
		return err
	}
	perMessage := messages / float64(t.groups*t.messages)
	perReader := readers / float64(t.groups*t.matrixUsers)
	s.add(Line{Name: "disk: bytes for each mapped message, indexes included", Unit: "B", Ours: value("", perMessage), Targets: []Goal{atMost("≤ 260 B", perMessage, 260)}})
	s.add(Line{Name: "disk: bytes for each reader's state, indexes included", Unit: "B", Ours: value("", perReader), Targets: []Goal{atMost("≤ 120 B", perReader, 120)}})
	return nil
}

// idleMemory starts it anew, with nothing mapped, a few times.
func (s *suite) idleMemory(ctx context.Context) (v Value, err error) {
	var list []float64
	for range s.runs {
		b, err := s.newBridge("idle", setting{})
		if err != nil {
			return v, err
		}
		if err = b.begin(ctx); err != nil {
			return v, err
		}
		mb, err := b.memory("VmRSS")
		if err = errors.Join(err, b.stop(), os.RemoveAll(b.dir)); err != nil {
			return v, err
		}
		list = append(list, mb)
	}
	return value("", list...), nil
}

// size is what the pages of a table and its indexes take, of a bridge that does not run.
func (b *bridge) size(ctx context.Context, table string) (bytes float64, err error) {
	db, err := sql.Open("sqlite", "file:"+b.databaseURI()+"?mode=ro")
	if err != nil {
		return 0, fmt.Errorf("failed to look into database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// LIKE takes _ for any character.
	pattern := strings.ReplaceAll(table, "_", `\_`)
	err = db.QueryRowContext(ctx, `SELECT COALESCE(SUM(pgsize), 0) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name LIKE $1 ESCAPE '\')`, pattern).Scan(&bytes)
	if err != nil {
		return 0, fmt.Errorf("failed to measure table %s: %w", table, err)
	}
	return bytes, nil
}
