// Package timbridge is the root of the module. It holds nothing but the example
// configuration, because Go can embed files only from the folder of a package
// or below. The program is in cmd/timbridge.
package timbridge

import _ "embed"

//go:embed config.example.yaml
var exampleConfig string

// ExampleConfig returns the text of config.example.yaml: every key with its
// default and an explanation.
func ExampleConfig() string { return exampleConfig }
