package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gopkg.in/yaml.v3"

	"github.com/timbridge/timbridge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// examplePaths lists the keys of the example: values only, and whether each
// key (sections too) has a comment of its own.
func examplePaths(t *testing.T) (leaves []string, uncommented []string) {
	t.Helper()
	var doc yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(timbridge.ExampleConfig()), &doc))
	var walk func(node *yaml.Node, typ reflect.Type, path string)
	walk = func(node *yaml.Node, typ reflect.Type, path string) {
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			full := joinKey(path, key.Value)
			if key.HeadComment == "" {
				uncommented = append(uncommented, full)
			}
			at := slices.IndexFunc(fieldsOf(typ), func(f schemaField) bool { return f.name == key.Value })
			if at >= 0 && isSection(fieldsOf(typ)[at].typ) {
				walk(value, fieldsOf(typ)[at].typ, full)
			} else {
				leaves = append(leaves, full)
			}
		}
	}
	walk(doc.Content[0], reflect.TypeFor[Config](), "")
	return leaves, uncommented
}

func TestExampleAndStructHaveTheSameKeys(t *testing.T) {
	inExample, uncommented := examplePaths(t)
	var inStruct []string
	for _, path := range leafPaths(reflect.TypeFor[Config]()) {
		inStruct = append(inStruct, strings.Join(path, "."))
	}
	require.ElementsMatch(t, inStruct, inExample)
	// A pair that belongs together may share the comment above its first key.
	shared := []string{
		"appservice.port", "appservice.hs_token", "database.max_idle_conns", "database.max_conn_lifetime", "tencent.secret_key", "v2tim.port",
		"appservice.bot.avatar", "tencent.webhook.port",
	}
	require.ElementsMatch(t, shared, uncommented, "every key needs a comment")
}

func TestExampleLoads(t *testing.T) {
	cfg, err := Default()
	require.NoError(t, err)
	var zero []string
	// Keys that are meant to be empty until somebody fills them in.
	mayBeZero := []string{
		"appservice.bot.avatar", "double_puppet.servers", "double_puppet.secrets", "tencent.sdk_app_id", "tencent.secret_key",
		"tencent.base_url", "tencent.webhook.token", "tencent.webhook.bearer_token", "tencent.webhook.sources",
		"appservice.tls.cert", "appservice.tls.key", "replica.enabled", "replica.tls.cert", "replica.tls.key", "v2tim.tls.cert", "v2tim.tls.key", "tencent.webhook.tls.cert", "tencent.webhook.tls.key",
		"tencent.webhook.trusted_proxies", "tencent.webhook.forward", "tencent.webhook.forward_strict", "relay.media_url",
		"bridge.auto_create", "bridge.auto_invite", "database.max_conn_idle_time", "database.max_conn_lifetime",
		"v2tim.min_sdk_version", "v2tim.deny_platforms", "v2tim.callback_url", "v2tim.callback_token", "mapping.stamp_senders", "bridge.may_link",
	}
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		for i, field := range fieldsOf(v.Type()) {
			full, value := joinKey(path, field.name), v.Field(i)
			if isSection(field.typ) {
				walk(value, full)
			} else if value.IsZero() || ((value.Kind() == reflect.Map || value.Kind() == reflect.Slice) && value.Len() == 0) {
				zero = append(zero, full)
			}
		}
	}
	walk(reflect.ValueOf(*cfg), "")
	require.ElementsMatch(t, mayBeZero, zero)
}

// The example as it is must ask for what only the operator knows, and for
// nothing else.
func TestExampleAsksForWhatIsMissing(t *testing.T) {
	cfg, err := Default()
	require.NoError(t, err)
	var problems *ProblemsError
	require.ErrorAs(t, cfg.Validate(), &problems)
	var keys []string
	for _, problem := range problems.Problems {
		key, _, _ := strings.Cut(problem, ":")
		keys = append(keys, key)
	}
	require.Equal(t, []string{
		"homeserver.address", "homeserver.domain", "appservice.as_token", "appservice.hs_token",
		"tencent.sdk_app_id", "tencent.secret_key",
	}, keys)
}
