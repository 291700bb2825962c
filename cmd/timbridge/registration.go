package main

import (
	"fmt"
	"io"
	"os"

	"github.com/timbridge/timbridge/bridge"
	"github.com/timbridge/timbridge/bridge/config"
)

// generateRegistration writes the registration for the homeserver and keeps the
// tokens in the config. Tokens that the config has are used again, so that the
// command can be repeated after a change of, say, the address. The config is
// saved first: should the registration then fail, the next try makes the same.
func (p *program) generateRegistration(opts *options, res *config.Result) error {
	cfg := res.Config
	asToken, hsToken := cfg.AppService.Tokens()
	complete := asToken != "" && hsToken != ""
	if opts.noUpdate && !complete {
		return failure(exitNoUpdate, "--no-update does not go with --generate-registration, which has to save the new tokens in the config")
	}
	example, err := config.Default()
	if err != nil {
		return err
	}
	if cfg.Homeserver.Domain == example.Homeserver.Domain {
		return failure(exitDomain, "homeserver.domain in %s is still that of the example: set it to your homeserver's server_name, then generate the registration", opts.configPath)
	}
	if err = validate(cfg, opts.configPath, config.PartRegistration); err != nil {
		return err
	}
	withTokens := *cfg
	withTokens.AppService.ASToken, withTokens.AppService.HSToken = asToken, hsToken // new ones for those that are empty
	reg, err := bridge.Registration(&withTokens)
	if err != nil {
		return failure(exitInvalidConfig, "failed to make the registration: %w", err)
	}
	reg.SoruEphemeralEvents = cfg.AppService.EphemeralEvents
	text, err := reg.YAML()
	if err != nil {
		return failure(exitRegistration, "failed to write the registration: %w", err)
	}
	if !complete {
		// Only what is new: a token from the environment stays out of the file.
		var newAS, newHS config.Secret
		if asToken == "" {
			newAS = config.Secret(reg.AppToken)
		}
		if hsToken == "" {
			newHS = config.Secret(reg.ServerToken)
		}
		if err = config.SaveTokens(opts.configPath, newAS, newHS); err != nil {
			return &codedError{code: exitSaveConfig, err: err}
		}
	}
	if err = p.writeRegistration(opts.registrationPath, text); err != nil {
		return err
	}
	if opts.registrationPath != "-" {
		p.explainRegistration(opts, complete)
	}
	return nil
}

func (p *program) explainRegistration(opts *options, complete bool) {
	if complete {
		fmt.Fprintf(p.stdout, "Wrote the registration to %s, with the tokens that the config has (for new ones empty as_token and hs_token first).\n", opts.registrationPath)
	} else {
		fmt.Fprintf(p.stdout, "Wrote the registration to %s and saved its tokens in %s.\n", opts.registrationPath, opts.configPath)
	}
	fmt.Fprintln(p.stdout, `Next: give the file to your homeserver and restart it. Synapse: app_service_config_files in homeserver.yaml;
Dendrite: app_service_api.config_files in dendrite.yaml. Then: timbridge check`)
}

// writeRegistration writes the file so that only its owner can read it: it
// holds both tokens.
func (p *program) writeRegistration(path, text string) error {
	if path == "-" {
		_, err := io.WriteString(p.stdout, text)
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return failure(exitRegistration, "failed to write the registration: %w", err)
	}
	err = file.Chmod(0o600) // it may have been there before, with other permissions
	if err == nil {
		_, err = io.WriteString(file, text)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return failure(exitRegistration, "failed to write the registration: %w", err)
	}
	return nil
}
