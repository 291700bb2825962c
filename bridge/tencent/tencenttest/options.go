package tencenttest

import (
	"net/http"
	"slices"
	"time"
)

// Defaults of Options.
const (
	DefaultSDKAppID  = 1400000001
	DefaultSecretKey = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e" // Tencent's own sample has this form
	DefaultAdmin     = "administrator"
)

// Edition is the package that an app has bought. It decides on receipts, on members per group and on
// how long history is kept (contract section 8).
type Edition int

const (
	// EditionFlagship: China 旗舰版, international Pro or Pro Plus. Receipts, 2000 members, 30 days.
	EditionFlagship Edition = iota
	// EditionEnterprise: Enterprise. Receipts, 6000 members, 90 days.
	EditionEnterprise
	// EditionPro: China 专业版, international Standard. No receipts, 200 members, 7 days.
	EditionPro
	// EditionTrial: trial. No receipts, 20 members, 7 days, 100 groups, 100 accounts, 1000 messages by
	// the server API a day.
	EditionTrial
)

func (e Edition) receipts() bool { return e == EditionFlagship || e == EditionEnterprise }

func (e Edition) members() int {
	return map[Edition]int{EditionFlagship: 2000, EditionEnterprise: 6000, EditionPro: 200, EditionTrial: 20}[e]
}

func (e Edition) history() time.Duration {
	const day = 24 * time.Hour
	return map[Edition]time.Duration{EditionFlagship: 30 * day, EditionEnterprise: 90 * day, EditionPro: 7 * day, EditionTrial: 7 * day}[e]
}

// Hook is where webhooks go.
type Hook struct {
	// URL: Tencent allows one per app. Empty: no webhooks are sent.
	URL string
	// Token: if set, the query has Sign and RequestTime.
	Token string
	// Header is sent along, for what Tencent does not send but a backend that passes webhooks on might,
	// such as Authorization.
	Header http.Header
}

// Limits are how often things may be done. Zero is Tencent's figure, a negative number is no limit.
// All count over any second, not over seconds of the clock: the strictest reading.
type Limits struct {
	// Command is how often each command may be called (60007); Tencent: 200.
	Command int
	// Account is the same for account commands (60007); Tencent: 100.
	Account int
	// Group is how many messages a group takes, whoever sends them (10023); Tencent: 40.
	Group int
}

// Options are the app and the console of the fake. The zero value is an app of the flagship edition in
// China, with all webhooks enabled. The embedded Points are what Tencent leaves open.
type Options struct {
	// Listen is the address to listen on, 127.0.0.1 and any free port if empty.
	Listen string
	// Transport is the way of the webhooks. If it is set the server listens nowhere and is reached by Server.Handler, so that
	// everything happens within one process, in virtual time too (testing/synctest).
	Transport http.RoundTripper
	// SDKAppID, SecretKey and Admins are the app's; see the Default constants.
	SDKAppID  uint64
	SecretKey string
	Admins    []string
	// Region is where the app lives, "china" if empty. A request by the domain of another region is
	// refused with 60026; other hosts, such as 127.0.0.1, are taken.
	Region string
	// Edition is what the app has bought.
	Edition Edition
	// ReceiptTypes are the group types ticked for receipts in the console; Work, Public and Meeting if
	// nil.
	ReceiptTypes []string
	// Hook is where webhooks go; see also Server.SetHook.
	Hook Hook
	// Webhooks are the commands enabled in the console; all if nil, except the before-callback.
	Webhooks []string
	// WebhookTimeout is the time in which a webhook must be answered; 2 seconds if zero, as Tencent's.
	WebhookTimeout time.Duration
	// BeforeSend asks Group.CallbackBeforeSendMsg before each message. BeforeSendDeny refuses the
	// message (80003) if that fails, instead of delivering it.
	BeforeSend, BeforeSendDeny bool
	// Limits are how often things may be done.
	Limits Limits
	// Now is the clock of messages, signatures and limits; time.Now if nil. Waiting (webhooks that are
	// late, the time to answer) is always in real time.
	Now func() time.Time
	// Seed makes the Random of the users' messages repeatable.
	Seed uint64

	Points
}

func (o *Options) setDefaults() {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.SDKAppID == 0 {
		o.SDKAppID = DefaultSDKAppID
	}
	if o.SecretKey == "" {
		o.SecretKey = DefaultSecretKey
	}
	if len(o.Admins) == 0 {
		o.Admins = []string{DefaultAdmin}
	}
	if o.Region == "" {
		o.Region = "china"
	}
	if o.ReceiptTypes == nil {
		o.ReceiptTypes = []string{"Work", "Public", "Meeting"}
	}
	if o.WebhookTimeout <= 0 {
		o.WebhookTimeout = 2 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Limits.Command = orDefault(o.Limits.Command, 200)
	o.Limits.Account = orDefault(o.Limits.Account, 100)
	o.Limits.Group = orDefault(o.Limits.Group, 40)
	o.Points.setDefaults()
}

func (o *Options) enabled(command string) bool {
	return o.Webhooks == nil || slices.Contains(o.Webhooks, command)
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// domains are Tencent's, by region (contract section 3.1).
func domains() map[string][]string {
	return map[string][]string{
		"china":          {"console.tim.qq.com", "adminapi.my-imcloud.com"},
		"singapore":      {"adminapisgp.im.qcloud.com"},
		"seoul":          {"adminapikr.im.qcloud.com"},
		"tokyo":          {"adminapijpn.im.qcloud.com"},
		"frankfurt":      {"adminapiger.im.qcloud.com"},
		"silicon_valley": {"adminapiusa.im.qcloud.com"},
		"jakarta":        {"adminapiidn.im.qcloud.com"},
		"riyadh":         {"adminapiksa.im.qcloud.com"},
	}
}
