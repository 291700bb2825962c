// Command timbridge is the bridge of group read receipts between Tencent Cloud
// Chat and Matrix.
//
// This package reads flags and the config file, and hands over: what timbridge
// does is in package bridge, what its keys mean in config.example.yaml. Flags
// and exit codes are those that operators of mautrix bridges know; see
// timbridge --help and exit.go.
package main
