package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/v2tim"
)

func tokensOf(t *testing.T, dir string) (asToken, hsToken config.Secret) {
	t.Helper()
	res, err := config.Load(filepath.Join(dir, "config.yaml"), config.Options{})
	require.NoError(t, err)
	return res.Config.AppService.Tokens()
}

func TestGenerateRegistration(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "config.yaml", testConfig)
	got := call(t, dir, nil, "-g")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Contains(t, got.stdout, "Wrote the registration to registration.yaml and saved its tokens in config.yaml")
	asToken, hsToken := tokensOf(t, dir)
	require.Len(t, string(asToken), 64)
	require.Len(t, string(hsToken), 64)
	require.NotEqual(t, asToken, hsToken)
	require.NotContains(t, got.stdout, string(asToken))

	text := read(t, dir, "registration.yaml")
	info, err := os.Stat(filepath.Join(dir, "registration.yaml"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	var reg map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &reg))
	require.Equal(t, string(asToken), reg["as_token"])
	require.Equal(t, string(hsToken), reg["hs_token"])

	t.Run("again keeps the tokens", func(t *testing.T) {
		require.NoError(t, os.Chmod(filepath.Join(dir, "registration.yaml"), 0o644))
		for _, flags := range []string{"-g", "-gn"} { // nothing to save: -n is no hindrance
			got := call(t, dir, nil, flags)
			require.Equal(t, exitOK, got.code, got.stderr)
			require.Contains(t, got.stdout, "with the tokens that the config has")
			again1, again2 := tokensOf(t, dir)
			require.Equal(t, []config.Secret{asToken, hsToken}, []config.Secret{again1, again2})
			require.Contains(t, read(t, dir, "registration.yaml"), string(asToken))
		}
		info, err := os.Stat(filepath.Join(dir, "registration.yaml"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
	})
	t.Run("to standard output", func(t *testing.T) {
		got := call(t, dir, nil, "-gr", "-")
		require.Equal(t, exitOK, got.code, got.stderr)
		require.NoError(t, yaml.Unmarshal([]byte(got.stdout), &reg))
	})
}

// What the homeserver reads. A change here means that operators have to install
// the file again.
func TestGoldenRegistration(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "config.yaml", `
homeserver: {address: "http://hs", domain: matrix.test}
appservice:
  address: http://bridge.test:29380
  id: tim
  bot: {username: tim.bot}
  username_template: tim_{{.}}
  as_token: AAAA
  hs_token: HHHH
`)
	got := call(t, dir, nil, "-g")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Equal(t, `id: tim
url: http://bridge.test:29380
as_token: AAAA
hs_token: HHHH
sender_localpart: tim.bot_as
rate_limited: false
namespaces:
    users:
        - regex: ^@tim\.bot:matrix\.test$
          exclusive: true
        - regex: ^@tim_.*:matrix\.test$
          exclusive: true
    aliases:
        - regex: ^#tim_.*:matrix\.test$
          exclusive: true
de.sorunome.msc2409.push_ephemeral: true
receive_ephemeral: true
`, read(t, dir, "registration.yaml"))
}

func TestRegistrationWithoutEphemeralEvents(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "config.yaml", testConfig+"appservice: {ephemeral_events: false}\n")
	got := call(t, dir, nil, "-g")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.NotContains(t, read(t, dir, "registration.yaml"), "ephemeral")
}

// Tokens from the environment go into the registration but never into the file.
func TestRegistrationWithTokensFromTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "config.yaml", testConfig)
	write(t, dir, "hs", "hs-"+testSecret+"\n")
	got := call(t, dir, []string{"TIMBRIDGE_APPSERVICE__AS_TOKEN=as-" + testSecret, "TIMBRIDGE_APPSERVICE__HS_TOKEN_FILE=hs"}, "-gn")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Contains(t, read(t, dir, "registration.yaml"), "as_token: as-"+testSecret+"\nhs_token: hs-"+testSecret+"\n")
	require.Equal(t, testConfig, read(t, dir, "config.yaml"))
}

func TestUserSig(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "config.yaml", testConfig)
	for args, life := range map[string]time.Duration{"": 24 * time.Hour, "2d": 48 * time.Hour, "90s": 90 * time.Second} {
		call0 := []string{"usersig", "alice"}
		if args != "" {
			call0 = append(call0, "--expire", args)
		}
		before := time.Now()
		got := call(t, dir, nil, call0...)
		require.Equal(t, exitOK, got.code, got.stderr)
		require.Regexp(t, `^[A-Za-z0-9*_-]+\n$`, got.stdout)
		expires, err := v2tim.VerifyUserSig(1400000000, testSecret, "alice", got.stdout[:len(got.stdout)-1], before)
		require.NoError(t, err)
		require.WithinDuration(t, before.Add(life), expires, 10*time.Second)
	}
	require.Equal(t, testConfig, read(t, dir, "config.yaml"), "subcommands leave the file alone")
}
