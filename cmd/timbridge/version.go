package main

import (
	"encoding/json"
	"io"
	"runtime"

	"go.mau.fi/util/progver"
	"maunium.net/go/mautrix"
)

// These are filled in by the linker:
//
//	go build -ldflags "-X main.Tag=$(git describe --exact-match --tags) -X main.Commit=$(git rev-parse HEAD) -X main.BuildTime=$(date -Iseconds)"
var (
	Tag       = "unknown"
	Commit    = "unknown"
	BuildTime = "unknown"
)

// baseVersion is the release that is being worked on.
const baseVersion = "0.1.0"

// programVersion puts together what is known of this build.
func programVersion() progver.ProgramVersion {
	return progver.ProgramVersion{
		Name:        "timbridge",
		URL:         "https://github.com/timbridge/timbridge",
		BaseVersion: baseVersion,
	}.Init(Tag, Commit, BuildTime)
}

// printVersionJSON writes the version in the form of mautrix bridges, for
// deployment tools.
func printVersionJSON(out io.Writer) error {
	var output struct {
		progver.ProgramVersion
		OS      string
		Arch    string
		Mautrix struct{ Version, Commit string }
	}
	output.ProgramVersion = programVersion()
	output.OS, output.Arch = runtime.GOOS, runtime.GOARCH
	output.Mautrix.Version, output.Mautrix.Commit = mautrix.VersionWithCommit, mautrix.Commit
	return json.NewEncoder(out).Encode(output)
}
