package main

import (
	"fmt"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/v2tim"
)

// userSig prints a UserSig and nothing else, so that it can be used in $(...).
func (p *program) userSig(opts *options, cfg *config.Config) error {
	if err := validate(cfg, opts.configPath, config.PartTencent); err != nil {
		return err
	}
	sig, err := v2tim.GenUserSig(cfg.Tencent.SDKAppID, string(cfg.Tencent.SecretKey), opts.args[0], opts.expire)
	if err != nil {
		return failure(exitUsage, "%w", err)
	}
	_, err = fmt.Fprintln(p.stdout, sig)
	return err
}
