package tencenttest

import "github.com/timbridge/timbridge/receipts"

// Codes that only a server gives and package receipts therefore does not name. Contract section 2,
// [ERR] https://trtc.io/document/34348; the profile codes from the pages of portrait_get and
// portrait_set (269/1639, 269/1640).
const (
	codeTrialGroups       receipts.Code = 10058 // trial edition: 100 groups
	codeRecallNotFound    receipts.Code = 10030 // message to recall not found
	codeRecallTooLate     receipts.Code = 10031 // too late to recall
	codeRecallDenied      receipts.Code = 10032 // may not recall
	codeMessageParameters receipts.Code = 90001 // REST message parameters
	codeBeforeDenied      receipts.Code = 80003 // before-callback failed and the policy is to deny
	codeTrialDaily        receipts.Code = 60028 // trial edition: calls per day
	codeURLParameters     receipts.Code = 60025 // random or contenttype
	codeWrongRegion       receipts.Code = 60026 // domain of another region
	codeTrialAccounts     receipts.Code = 70398 // trial edition: 100 accounts
	codeAccountParameters receipts.Code = 70402 // bad parameters of an account command
	codeProfileParameters receipts.Code = 40001 // bad parameters of a profile command
	codeProfileNoAccount  receipts.Code = 40003 // no such account
)
