package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
)

// tables knows the versions of one part of the replicas' tables.
type tables struct {
	t    *testing.T
	uri  string
	name string
	// known is what this program knows.
	known int
}

func (r *replicas) tables() *tables {
	r.t.Helper()
	uri := strings.TrimPrefix(r.env[1], "TIMBRIDGE_DATABASE__URI=")
	db, err := database.OpenReadOnly(r.t.Context(), config.Database{Type: config.DatabasePostgres, URI: config.Secret(uri)})
	require.NoError(r.t, err)
	defer db.Close()
	schema := bridgedb.New(db).Schema()
	return &tables{r.t, uri, schema.VersionTable, len(schema.UpgradeTable)}
}

func (s *tables) do(work func(conn *pgx.Conn) error) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.uri)
	require.NoError(s.t, err)
	require.NoError(s.t, work(conn))
	require.NoError(s.t, conn.Close(s.t.Context()))
}

func (s *tables) version() (version int) {
	s.t.Helper()
	s.do(func(conn *pgx.Conn) error {
		return conn.QueryRow(s.t.Context(), "SELECT version FROM "+s.name).Scan(&version)
	})
	return version
}

// set says of the tables that they are of a version, and which is the oldest that may work on them.
func (s *tables) set(version, compatible int) {
	s.t.Helper()
	s.do(func(conn *pgx.Conn) error {
		_, err := conn.Exec(s.t.Context(), "UPDATE "+s.name+" SET version = $1, compat = $2", version, compatible)
		return err
	})
}

// nextProgram builds a timbridge that knows one more revision of the tables.
func (s *tables) nextProgram() string {
	s.t.Helper()
	dir := s.t.TempDir()
	folder, err := filepath.Abs("../../bridge/bridgedb")
	require.NoError(s.t, err)
	revision := write(s.t, dir, "next.sql", fmt.Sprintf("-- v%d -> v%d: What the next version needs\n\nCREATE TABLE tim_next (n INTEGER);\n", s.known, s.known+1))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(folder, "v99-next.sql"): revision}})
	require.NoError(s.t, err)
	program := filepath.Join(dir, "timbridge")
	build := exec.Command("go", "build", "-buildvcs=false", "-overlay", write(s.t, dir, "overlay.json", string(overlay)), "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(s.t, err, "%s", output)
	return program
}

// refuses tells that a replica lives, does not lead, and says why.
func (r *replicas) refuses(i int) {
	r.t.Helper()
	b := r.list[i]
	require.Eventually(r.t, func() bool { return strings.Contains(b.output.String(), "This replica is older than the database") }, patience, 20*time.Millisecond, "%s", b.output)
	require.Contains(r.t, b.output.String(), "a newer timbridge has written this database")
	require.False(r.t, leads(b))
	select {
	case <-b.exited:
		require.Fail(r.t, "it has ended", b.output)
	default:
	}
}

// TestUpgradeOneReplicaAtATime: with a change of the tables between the versions. A newer one that stands by changes nothing; when it leads
// it upgrades the tables; the older ones pass on to it, and do not lead when it is gone.
func TestUpgradeOneReplicaAtATime(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program again")
	}
	r := newReplicas(t, 3)
	tables := r.tables()
	next := tables.nextProgram()
	old := r.leader()
	first, second := (old+1)%3, (old+2)%3
	upgrade := func(i int) {
		r.list[i].stop(t)
		r.programs[i] = next
		r.start(i)
	}
	upgrade(first)
	r.works("begun", 0, 1, 2)
	require.Equal(t, old, r.leader())
	require.Equal(t, tables.known, tables.version(), "who stands by upgrades nothing")

	// The leader ends, and the newer one takes its place.
	r.list[second].stop(t)
	r.list[old].stop(t)
	require.Eventually(t, func() bool { return leads(r.list[first]) && tables.version() == tables.known+1 }, patience, 20*time.Millisecond, "%s", r.list[first].output)
	r.start(second)
	r.start(old)
	r.works("mixed", 0, 1, 2)

	// While it is away there is nobody who could lead; when it is back all go on.
	require.NoError(t, r.list[first].cmd.Process.Kill())
	<-r.list[first].exited
	r.refuses(second)
	r.refuses(old)
	require.Equal(t, http.StatusServiceUnavailable, r.list[old].probe("ready"), "after it has waited for a leader")
	r.start(first)
	r.works("back", 0, 1, 2)

	upgrade(second)
	upgrade(old)
	r.works("done", 0, 1, 2)
	r.list[first].stop(t)
	r.works("upgraded", second, old)
	require.Equal(t, tables.known+1, tables.version())
	r.list[second].stop(t)
	r.list[old].stop(t)
	check := exec.Command(next, "check", "--deep")
	check.Dir, check.Env = r.dirs[0], r.env
	output, err := check.CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// TestOlderReplicaLeadsWhereItMay: a revision may say that programs from before it still work on the tables.
func TestOlderReplicaLeadsWhereItMay(t *testing.T) {
	r := newReplicas(t, 2)
	tables := r.tables()
	leader := r.leader()
	other := 1 - leader
	r.works("begin", 0, 1)
	tables.set(tables.known+1, tables.known+1)
	require.NoError(t, r.list[leader].cmd.Process.Kill())
	<-r.list[leader].exited
	r.refuses(other)
	tables.set(tables.known+1, tables.known)
	r.works("compatible", other)
	require.True(t, leads(r.list[other]))
	// One that is older is refused as well when it starts, and stays.
	r.list[other].stop(t)
	tables.set(tables.known+1, tables.known+1)
	r.launch(other)
	r.refuses(other)
	r.list[other].stop(t)
}
