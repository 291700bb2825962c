package main

import (
	"context"
	"errors"

	"go.mau.fi/util/configupgrade"

	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/database"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/event"
)

// connector is the network: groups are portals, messages are in bridgev2's own database, and nothing is asked of anybody outside.
type connector struct {
	bridge *bridgev2.Bridge
}

var (
	_          bridgev2.NetworkConnector              = (*connector)(nil)
	_          bridgev2.ReadReceiptHandlingNetworkAPI = (*client)(nil)
	errNotHere                                        = errors.New("the benchmark's bridge does not do that")
)

func (c *connector) Init(bridge *bridgev2.Bridge)     { c.bridge = bridge }
func (c *connector) Start(context.Context) error      { return nil }
func (c *connector) GetBridgeInfoVersion() (a, b int) { return 1, 1 }

func (c *connector) GetName() bridgev2.BridgeName {
	return bridgev2.BridgeName{
		DisplayName: "Bench", NetworkURL: "https://example.com", NetworkID: "bench",
		BeeperBridgeType: "github.com/timbridge/timbridge/internal/bench/bridgev2", DefaultPort: 29399,
	}
}

func (c *connector) GetDBMetaTypes() database.MetaTypes { return database.MetaTypes{} }

func (c *connector) GetCapabilities() *bridgev2.NetworkGeneralCapabilities {
	return &bridgev2.NetworkGeneralCapabilities{}
}

func (c *connector) GetConfig() (example string, data any, upgrader configupgrade.Upgrader) {
	return "", nil, configupgrade.NoopUpgrader
}

func (c *connector) LoadUserLogin(_ context.Context, login *bridgev2.UserLogin) error {
	login.Client = &client{bridge: c.bridge, login: login}
	return nil
}

func (c *connector) GetLoginFlows() []bridgev2.LoginFlow { return nil }

func (c *connector) CreateLogin(context.Context, *bridgev2.User, string) (bridgev2.LoginProcess, error) {
	return nil, errNotHere
}

// client is one user's login. Nothing but receipts comes from Matrix.
type client struct {
	bridge *bridgev2.Bridge
	login  *bridgev2.UserLogin
}

func (c *client) Connect(context.Context)      {}
func (c *client) Disconnect()                  {}
func (c *client) IsLoggedIn() bool             { return true }
func (c *client) LogoutRemote(context.Context) {}

func (c *client) IsThisUser(_ context.Context, user networkid.UserID) bool {
	return string(user) == string(c.login.ID)
}

func (c *client) GetChatInfo(context.Context, *bridgev2.Portal) (*bridgev2.ChatInfo, error) {
	return nil, errNotHere
}

func (c *client) GetUserInfo(context.Context, *bridgev2.Ghost) (*bridgev2.UserInfo, error) {
	return nil, errNotHere
}

func (c *client) GetCapabilities(context.Context, *bridgev2.Portal) *event.RoomFeatures {
	return &event.RoomFeatures{}
}

func (c *client) HandleMatrixMessage(context.Context, *bridgev2.MatrixMessage) (*bridgev2.MatrixMessageResponse, error) {
	return nil, errNotHere
}

// HandleMatrixReadReceipt finds the messages that the user has just read, as every network that wants them one by one has to (Tencent
// does), and would tell the network of them. When it has returned, bridgev2 writes down how far he has read.
func (c *client) HandleMatrixReadReceipt(ctx context.Context, receipt *bridgev2.MatrixReadReceipt) error {
	messages, err := c.bridge.DB.Message.GetMessagesBetweenTimeQuery(ctx, receipt.Portal.PortalKey, receipt.LastRead, receipt.ReadUpTo)
	if err != nil {
		return err
	}
	ids := make([]networkid.MessageID, 0, len(messages))
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	return tell(ids)
}

// tell stands for the call to the network, which costs both bridges the same and is made by neither here.
func tell([]networkid.MessageID) error { return nil }
