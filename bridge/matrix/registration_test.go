package matrix

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

func TestNewRegistration(t *testing.T) {
	reg, err := NewRegistration(RegistrationConfig{
		ID: "tb", URL: "http://127.0.0.1:29400", Domain: "example.org", BotLocalpart: "tim", GhostPrefix: "tim._",
		ASToken: "as", HSToken: "hs", SenderLocalpart: "nobody",
	})
	require.NoError(t, err)
	text, err := reg.YAML()
	require.NoError(t, err)
	require.YAMLEq(t, `
id: tb
url: http://127.0.0.1:29400
as_token: as
hs_token: hs
sender_localpart: nobody
rate_limited: false
receive_ephemeral: true
de.sorunome.msc2409.push_ephemeral: true
namespaces:
  users:
    - regex: ^@tim:example\.org$
      exclusive: true
    - regex: ^@tim\._.*:example\.org$
      exclusive: true
  aliases:
    - regex: ^#tim\._.*:example\.org$
      exclusive: true
`, text)
	ghosts := regexp.MustCompile(reg.Namespaces.UserIDs[1].Regex)
	require.True(t, ghosts.MatchString("@tim._carl=2f:example.org"))
	for _, stranger := range []string{"@timx_carl:example.org", "@tim._carl:example-org", "@tim:example.org", "@tim._carl:example.org.evil", "x@tim._carl:example.org"} {
		require.False(t, ghosts.MatchString(stranger), stranger)
	}
	aliases := regexp.MustCompile(reg.Namespaces.RoomAliases[0].Regex)
	require.True(t, aliases.MatchString("#tim._=40_t_g_s=23_1:example.org"))
	for _, stranger := range []string{"#tim_x:example.org", "#tim._x:example-org", "#lobby:example.org", "#tim._x:example.org.evil", "x#tim._x:example.org", "@tim._x:example.org"} {
		require.False(t, aliases.MatchString(stranger), stranger)
	}
}

func TestNewRegistrationRandom(t *testing.T) {
	cfg := RegistrationConfig{Domain: "x", BotLocalpart: "tim", GhostPrefix: "tim_"}
	a, err := NewRegistration(cfg)
	require.NoError(t, err)
	b, err := NewRegistration(cfg)
	require.NoError(t, err)
	require.Len(t, a.AppToken, 64)
	require.Len(t, a.ServerToken, 64)
	require.Equal(t, "timbridge", a.ID)
	require.NotEqual(t, a.AppToken, b.AppToken)
	require.NotEqual(t, a.AppToken, a.ServerToken)
	require.NotEqual(t, a.SenderLocalpart, b.SenderLocalpart)
	require.Regexp(t, `^[a-z0-9]{32}$`, a.SenderLocalpart)
	cfg.SenderLocalpart = "tim"
	_, err = NewRegistration(cfg)
	require.ErrorIs(t, err, errSameAsBot)
	_, err = NewRegistration(RegistrationConfig{})
	require.ErrorIs(t, err, errNoDomain)
}

func TestNewDoublePuppetRegistration(t *testing.T) {
	reg, err := NewDoublePuppetRegistration("puppet", "a.b", "")
	require.NoError(t, err)
	text, err := reg.YAML()
	require.NoError(t, err)
	var back map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &back))
	require.Equal(t, "", back["url"])
	require.Equal(t, `^@.*:a\.b$`, reg.Namespaces.UserIDs[0].Regex)
	require.False(t, reg.Namespaces.UserIDs[0].Exclusive)
	require.NotContains(t, back, "receive_ephemeral")
	_, err = NewDoublePuppetRegistration("puppet", "", "")
	require.ErrorIs(t, err, errNoDomain)
}
