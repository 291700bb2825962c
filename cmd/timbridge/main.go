package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/timbridge/timbridge"
	"github.com/timbridge/timbridge/bridge/config"
)

func main() {
	ctx, stop := stopOnSignal(context.Background())
	prog := program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ()}
	err := prog.main(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "timbridge: %v\n", err)
	}
	os.Exit(exitCode(err))
}

// program is one call of the command line, with what it reads from and writes to.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
}

// main does what the arguments say. The error is for the operator and carries
// the exit code.
func (p *program) main(ctx context.Context, args []string) error {
	opts, err := parseFlags(args)
	if err != nil {
		return failure(exitUsage, "%w (timbridge --help lists what there is)", err)
	}
	switch {
	case opts.help:
		printHelp(p.stdout)
		return nil
	case opts.version:
		fmt.Fprintln(p.stdout, programVersion().VersionDescription)
		return nil
	case opts.versionJSON:
		return printVersionJSON(p.stdout)
	case opts.example:
		return p.writeExample(opts.configPath)
	case opts.command == "check":
		return p.check(ctx, opts) // it reports on the config itself
	case opts.command == "sim":
		return p.sim(ctx, opts) // it does without one
	}
	// Subcommands run beside a bridge; only the bridge and -g look after the file.
	res, err := p.load(opts, opts.command == "" && !opts.noUpdate)
	if err != nil {
		return err
	}
	switch {
	case opts.generate:
		return p.generateRegistration(opts, res)
	case opts.command == "link":
		return p.link(ctx, opts, res.Config)
	case opts.command == "unlink":
		return p.unlink(ctx, opts, res.Config)
	case opts.command == "usersig":
		return p.userSig(opts, res.Config)
	case opts.command == "import":
		return p.importFile(ctx, opts, res.Config)
	case opts.command == "move-database":
		return p.moveDatabase(ctx, opts, res.Config)
	case opts.command == "export":
		return p.exportFile(ctx, opts, res.Config)
	default:
		return p.runBridge(ctx, opts, res)
	}
}

// load reads the config and prints what is odd about it. When the bridge runs
// the warnings are the log's, see runBridge.
func (p *program) load(opts *options, update bool) (*config.Result, error) {
	res, err := config.Load(opts.configPath, config.Options{Update: update, Environ: p.environ})
	if err != nil {
		return nil, &codedError{code: exitConfig, err: err}
	}
	if opts.command != "" || opts.generate {
		for _, warning := range res.Warnings {
			fmt.Fprintln(p.stderr, "warning:", warning)
		}
	}
	return res, nil
}

// validate checks parts of the config (none = all).
func validate(cfg *config.Config, path string, parts ...config.Part) error {
	if err := cfg.Validate(parts...); err != nil {
		return failure(exitInvalidConfig, "%s has to be put right: %w", path, err)
	}
	return nil
}

// writeExample writes the example config, never over a file that exists.
func (p *program) writeExample(path string) error {
	if path == "-" {
		_, err := io.WriteString(p.stdout, timbridge.ExampleConfig())
		return err
	}
	// 0600: secrets will be put in.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return failure(exitUsage, "%s exists already: remove it if you want a new example, or name another file with -c", path)
	} else if err != nil {
		return failure(exitUsage, "failed to write the example config: %w", err)
	}
	_, err = io.WriteString(file, timbridge.ExampleConfig())
	if err = errors.Join(err, file.Close()); err != nil {
		return failure(exitUsage, "failed to write the example config: %w", err)
	}
	fmt.Fprintf(p.stdout, "Wrote the example config to %s. Edit it, then write the registration with -g.\n", path)
	return nil
}
