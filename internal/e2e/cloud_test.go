package e2e

import (
	"testing"

	"github.com/timbridge/timbridge/internal/lab"
)

// Groups in Tencent Cloud: a homeserver of their own, beside the one of the other cases.
func TestCloudOnSynapse(t *testing.T)  { testCloudOn(t, lab.Synapse) }
func TestCloudOnDendrite(t *testing.T) { testCloudOn(t, lab.Dendrite) }

func testCloudOn(t *testing.T, kind lab.Kind) {
	t.Parallel()
	w := newWorld(t, kind, sharedCloud, "cloudvaried", "cloudstopped", "cloudforward")
	w.bridges[sharedCloud].start(t)
	w.run(t, []testCase{
		{"Variants", testCloudVariants},
		{"StoppedAndKilled", testCloudStoppedAndKilled},
		{"Forward", testCloudForward},
		{"WebhooksLost", testCloudWebhooksLost},
		{"WebhooksInAnyOrder", testCloudWebhooksInAnyOrder},
		{"Outage", testCloudOutage},
		{"UnclearAnswers", testCloudUnclearAnswers},
		{"TooManyMembers", testCloudTooManyMembers},
		{"LinkByCommand", testCloudLinkByCommand},
		{"LinkByCLI", testCloudLinkByCLI},
		{"Changes", testCloudChanges},
		{"RepliesAndMentions", testCloudRepliesAndMentions},
	})
}
