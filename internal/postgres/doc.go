// Package postgres runs a PostgreSQL of its own for tests and benchmarks.
//
// The idea: a test asks for an empty database and gets one, whatever machine it runs on. The server's files lie in a temporary
// folder, it listens on a Unix socket in that folder and nowhere else, and it is gone when the test binary ends, however that
// ends: a shell between us and the server waits at a pipe that only we hold open, and stops the server when it closes.
// PostgreSQL refuses to run as root; where we are root, it runs as nobody.
//
// One server serves all tests of a package, and is started by the first test that asks:
//
//	var server postgres.Lazy
//
//	func TestMain(m *testing.M) { os.Exit(server.Main(m)) }
//
//	func TestX(t *testing.T) { uri := server.Database(t) }
//
// Tests are skipped, with a line that says what to install, where there is no PostgreSQL.
package postgres
