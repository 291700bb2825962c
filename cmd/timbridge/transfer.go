package main

import (
	"context"

	"github.com/timbridge/timbridge/bridge/config"
)

// importFile reads groups, users, members and messages from a file.
func (p *program) importFile(ctx context.Context, opts *options, cfg *config.Config) error {
	return failure(exitData, "this build cannot import yet")
}

// exportFile writes them.
func (p *program) exportFile(ctx context.Context, opts *options, cfg *config.Config) error {
	return failure(exitData, "this build cannot export yet")
}
