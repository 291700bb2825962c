package bridge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/timbridge/timbridge/bridge/config"
)

// onPostgres makes all houses stand on PostgreSQL, but for those of tests that are about SQLite.
const onPostgres = "TIMBRIDGE_TEST_POSTGRES"

// houseDatabase is an empty database for a house: SQLite's, or PostgreSQL's within TestPostgreSQL or if the environment asks for it.
func houseDatabase(t testing.TB) config.Database {
	if strings.HasPrefix(t.Name(), "TestPostgreSQL/") || os.Getenv(onPostgres) == "1" {
		return config.Database{Type: config.DatabasePostgres, URI: config.Secret(server.Database(t)), MaxOpenConns: 8, MaxIdleConns: 8}
	}
	return testDatabase(filepath.Join(t.TempDir(), "bridge.db"))
}

// sqliteOnly skips a test that does what only SQLite can, where the house stands on PostgreSQL.
func (h *house) sqliteOnly() {
	if h.cfg.Database.Type == config.DatabasePostgres {
		h.t.Skip("this is about SQLite")
	}
}

// TestPostgreSQL runs a choice of the tests of this package on PostgreSQL: houseDatabase looks for its name. All of them run there with
// TIMBRIDGE_TEST_POSTGRES=1, also with the race detector.
func TestPostgreSQL(t *testing.T) {
	if raceDetector {
		t.Skip("the same code is watched on SQLite; make test runs this without the race detector")
	}
	for name, test := range map[string]func(*testing.T){
		"BadChange": TestCommitterOneBadChangeFailsAlone, "Accepted": TestCommitterFinishesWhatItHasAccepted, "Withdrawn": TestCommitterWithdrawsWhatNobodyWaitsFor,
		"FromV2TIM": TestReceiptFromV2TIMReachesMatrix, "FromMatrix": TestReceiptFromMatrixReachesV2TIM, "Threads": TestThreads,
		"MixedGroups": TestMixedGroupsAreRefusedAndNothingChanges, "Poison": TestNoEventBlocksTheQueue, "LinkedUser": TestLinkedUser,
		"Relinked": TestUnlinkAndRelinkToAnotherRoom, "Stopped": TestReceiptsMadeWhileStoppedArrive, "Repeated": TestRepeatedTransactionsChangeNothing,
		"Imported": TestImportedMessagesAreLearntAtStart, "Cursor": TestListenerResumesByCursor, "Damaged": TestDamagedRowStopsItselfOnly,
		"OneReader": TestCallsOfOneReaderInOneCommit, "Refused": TestRefusedCallsAmongOthersInOneCommit, "Around": TestCallsAroundOtherChangesInOneCommit,
		"Webhooks": TestWebhooksInOneCommit,
		"Cloud":    TestCloud, "CloudMembers": TestCloudMatrixMembers, "CloudRelay": TestCloudUnclearSend, "CloudCatchUp": TestCloudCatchUp,
	} {
		t.Run(name, test)
	}
}
