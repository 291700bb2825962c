// bench measures timbridge as its users have it: the binary as a process, over its real interfaces, on SQLite with synchronous=FULL.
// Beside it, in the same run and on the same disk, it measures what one would take instead (a connector on mautrix-go's bridgev2, in
// folder bridgev2) and what nothing could surpass: the disk's own durable commits, the same handlers with no database behind them, the
// homeserver without a bridge, the rate that Tencent allows.
//
//	make bench                            everything, in less than ten minutes
//	go run ./internal/bench -only webhook the lines whose names match
//	go run ./internal/bench -large        also ten million messages (about half an hour, 5 GB of disk)
//
// It prints one table and writes bench.json. docs/benchmarks.md says what each line means. All listeners are on the loopback
// interface, everything that is started is stopped, and every load has an end of its own.
package main
