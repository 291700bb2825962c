package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/timbridge/timbridge/bridge/config"
)

// options are what the command line says.
type options struct {
	configPath       string
	registrationPath string
	generate         bool
	example          bool
	noUpdate         bool
	ignoreNewer      bool
	deep             bool
	version          bool
	versionJSON      bool
	help             bool
	expire           time.Duration
	from             string
	// configNamed: the path of the config is not just the default. listen, webhook
	// and webhookToken are for sim.
	configNamed  bool
	listen       string
	webhook      string
	webhookToken string

	// command is the subcommand, "" to run the bridge; args are its arguments.
	command string
	args    []string
}

// command describes a subcommand.
type command struct {
	name    string
	usage   string
	help    string
	minArgs int
	maxArgs int
}

// commands lists the subcommands in the order of the help text.
func commands() []command {
	return []command{
		{"check", "check", "Try config, database and homeserver, or with --deep all that is stored", 0, 0},
		{"link", "link GROUPID ROOM", "Join a group and a room (!id or #alias:server); a timbridge has to run", 2, 2},
		{"unlink", "unlink GROUPID", "Part a group from its room; what was read is kept", 1, 1},
		{"usersig", "usersig USER", "Print a UserSig for a Tencent user, for trying things out", 1, 1},
		{"import", "import FILE.ndjson", "Read groups, users, members and messages from a file (- is standard input)", 1, 1},
		{"export", "export [FILE.ndjson]", "Write all of them to a file, or to standard output", 0, 1},
		{"move-database", "move-database --from URI", "Move everything from a SQLite file to the PostgreSQL database of the config", 0, 0},
		{"sim", "sim", "For development: play Tencent Cloud Chat and its users on this machine", 0, 0},
	}
}

// daysValue is a flag that takes a time, also in days.
type daysValue struct{ target *time.Duration }

func (v daysValue) String() string {
	if v.target == nil {
		return ""
	}
	return v.target.String()
}

func (v daysValue) Set(text string) (err error) {
	*v.target, err = config.ParseDuration(text)
	return err
}

func (v daysValue) Type() string { return "time" }

// newFlags defines the flags. Their names are those of mautrix bridges. (The
// package that those use, maunium.net/go/mauflag, is under the GPL and changes
// --config=/Some/Path to lower case.)
func newFlags(opts *options) *pflag.FlagSet {
	flags := pflag.NewFlagSet("timbridge", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.SetOutput(io.Discard) // errors are printed once, by main
	flags.Usage = func() {}
	flags.StringVarP(&opts.configPath, "config", "c", "config.yaml", "The `path` of the config file.")
	flags.StringVarP(&opts.registrationPath, "registration", "r", "registration.yaml", "The `path` where to save the registration.")
	flags.BoolVarP(&opts.generate, "generate-registration", "g", false, "Write the registration, save its tokens in the config, and quit.")
	flags.BoolVarP(&opts.example, "generate-example-config", "e", false, "Write the example config to the path of the config, and quit.")
	flags.BoolVarP(&opts.noUpdate, "no-update", "n", false, "Do not rewrite the config in the newest layout.")
	flags.BoolVar(&opts.ignoreNewer, "ignore-unsupported-database", false, "Run even if a newer version has written the database. At your own risk.")
	flags.BoolVar(&opts.deep, "deep", false, "With check: look through the whole database instead, without changing it.")
	flags.StringVar(&opts.from, "from", "", "With move-database: the `URI` of the SQLite file, for instance file:timbridge.db.")
	flags.BoolVarP(&opts.version, "version", "v", false, "Print the version and quit.")
	flags.BoolVar(&opts.versionJSON, "version-json", false, "Print the version as JSON and quit.")
	opts.expire = 24 * time.Hour
	flags.Var(daysValue{&opts.expire}, "expire", "With usersig: how long it is valid, for instance 12h or 180d.")
	flags.StringVar(&opts.listen, "listen", simAddress, "With sim: the `address` to listen on.")
	flags.StringVar(&opts.webhook, "webhook", "", "With sim: the `URL` of timbridge's webhooks (default: as the config says, http://127.0.0.1:29382/).")
	flags.StringVar(&opts.webhookToken, "webhook-token", "", "With sim: the `token` of webhooks (default: that of the config, or "+simToken+").")
	flags.BoolVarP(&opts.help, "help", "h", false, "Print this help and quit.")
	return flags
}

// parseFlags reads the command line.
func parseFlags(args []string) (*options, error) {
	opts := &options{}
	flags := newFlags(opts)
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		opts.command, opts.args = flags.Arg(0), flags.Args()[1:]
	}
	if opts.help || opts.version || opts.versionJSON {
		return opts, nil
	}
	if opts.configPath == "" {
		return nil, errors.New("--config needs a path")
	}
	if opts.command == "" {
		if flags.NArg() > 0 {
			return nil, errors.New("empty argument")
		}
	} else if err := checkCommand(opts); err != nil {
		return nil, err
	}
	opts.configNamed = flags.Changed("config")
	for _, flag := range []struct{ name, command string }{{"expire", "usersig"}, {"listen", "sim"}, {"webhook", "sim"}, {"webhook-token", "sim"}, {"deep", "check"}, {"from", "move-database"}} {
		if flags.Changed(flag.name) && opts.command != flag.command {
			return nil, fmt.Errorf("--%s belongs to %s", flag.name, flag.command)
		}
	}
	return opts, nil
}

func checkCommand(opts *options) error {
	var names []string
	for _, known := range commands() {
		names = append(names, known.name)
		if known.name != opts.command {
			continue
		}
		if opts.generate || opts.example {
			return fmt.Errorf("-g and -e do not go with %s", known.name)
		}
		if len(opts.args) < known.minArgs || len(opts.args) > known.maxArgs {
			return fmt.Errorf("usage: timbridge %s", known.usage)
		}
		return nil
	}
	return fmt.Errorf("there is no command %q, only %s (without one timbridge runs)", opts.command, strings.Join(names, ", "))
}

// printHelp writes the help text.
func printHelp(out io.Writer) {
	var list strings.Builder
	for _, known := range commands() {
		fmt.Fprintf(&list, "  %-24s %s\n", known.usage, known.help)
	}
	fmt.Fprintf(out, `timbridge - keeps read receipts of Tencent Cloud Chat groups and Matrix rooms in step.

Usage:
  timbridge [-hgenv] [-c <path>] [-r <path>] [command]

Without a command the bridge runs, until SIGTERM or SIGINT.

Commands:
%s
Options:
%s`, list.String(), newFlags(&options{}).FlagUsages())
}
