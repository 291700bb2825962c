package receipts

import "strconv"

// Code is an error code of Tencent Cloud Chat. Those below are the ones that
// timbridge answers or meets; names follow Tencent's where it has one.
//
// Sources: [ERR] https://trtc.io/document/34348 and
// https://cloud.tencent.com/document/product/269/1671 (meanings), [C-ERR]
// https://github.com/TencentCloud/chat-sdk-unity TIMErrorCode.h (enum names),
// [R-OVER] https://trtc.io/document/34620 (the frame of the server API).
type Code int

// CodeOK is success.
const CodeOK Code = 0

// Codes of the SDK itself. [ERR] [C-ERR]
const (
	// CodeNotLoggedIn: not logged in. ERR_SDK_NOT_LOGGED_IN.
	CodeNotLoggedIn Code = 6014
	// CodeInvalidParameters: bad parameters. ERR_INVALID_PARAMETERS.
	CodeInvalidParameters Code = 6017
	// CodeAPICallFrequencyLimit: calls too frequent. ERR_SDK_COMM_API_CALL_FREQUENCY_LIMIT.
	CodeAPICallFrequencyLimit Code = 7008
	// CodeInterfaceNotSupport: the package or platform lacks the feature. ERR_SDK_INTERFACE_NOT_SUPPORT.
	CodeInterfaceNotSupport Code = 7013
)

// Codes of the group service. [ERR] [C-ERR]; those from 10052 on have no enum name.
const (
	// CodeGroupInternalError: server error, try again. ERR_SVR_GROUP_INTERNAL_ERROR.
	CodeGroupInternalError Code = 10002
	// CodeGroupAPINameError: unknown command. ERR_SVR_GROUP_API_NAME_ERROR.
	CodeGroupAPINameError Code = 10003
	// CodeGroupInvalidParameters: bad parameters. ERR_SVR_GROUP_INVALID_PARAMETERS.
	CodeGroupInvalidParameters Code = 10004
	// CodeGroupAccountCountLimit: too many accounts in one call. ERR_SVR_GROUP_ACOUNT_COUNT_LIMIT.
	CodeGroupAccountCountLimit Code = 10005
	// CodeGroupFreqLimit: group operations too frequent. ERR_SVR_GROUP_FREQ_LIMIT.
	CodeGroupFreqLimit Code = 10006
	// CodeGroupPermissionDeny: no permission, not a member, or the type of group
	// does not have the feature. ERR_SVR_GROUP_PERMISSION_DENY.
	CodeGroupPermissionDeny Code = 10007
	// CodeGroupNotFound: the group never was or is dismissed. ERR_SVR_GROUP_NOT_FOUND.
	CodeGroupNotFound Code = 10010
	// CodeGroupJSONParseFailed: bad JSON. ERR_SVR_GROUP_JSON_PARSE_FAILED.
	CodeGroupJSONParseFailed Code = 10011
	// CodeGroupInvalidID: bad operator. ERR_SVR_GROUP_INVALID_ID.
	CodeGroupInvalidID Code = 10012
	// CodeGroupAlreadyMember: already a member. ERR_SVR_GROUP_ALLREADY_MEMBER.
	CodeGroupAlreadyMember Code = 10013
	// CodeGroupFull: the group is full. ERR_SVR_GROUP_FULL_MEMBER_COUNT.
	CodeGroupFull Code = 10014
	// CodeGroupInvalidGroupID: malformed or unknown group id. ERR_SVR_GROUP_INVALID_GROUPID.
	CodeGroupInvalidGroupID Code = 10015
	// CodeGroupRejected: refused by the app's before-callback. ERR_SVR_GROUP_REJECT_FROM_THIRDPARTY.
	CodeGroupRejected Code = 10016
	// CodeGroupMuted: the sender is muted. ERR_SVR_GROUP_SHUTUP_DENY.
	CodeGroupMuted Code = 10017
	// CodeGroupAccountNotFound: no such account. ERR_SVR_GROUP_ACCOUNT_NOT_FOUND.
	CodeGroupAccountNotFound Code = 10019
	// CodeGroupIDInUse: the group id is taken. ERR_SVR_GROUP_GROUPID_IN_USED.
	CodeGroupIDInUse Code = 10021
	// CodeGroupSendFreqLimit: more than 40 messages/s in one group. ERR_SVR_GROUP_SEND_MSG_FREQ_LIMIT.
	CodeGroupSendFreqLimit Code = 10023
	// CodeGroupAppDenied: the command is disabled for this app. ERR_SVR_GROUP_SDKAPPID_DENY.
	CodeGroupAppDenied Code = 10026
	// CodeMessageNotInGroup: the message is not in the group.
	CodeMessageNotInGroup Code = 10052
	// CodeEditionLacksFeature: the package does not include the feature.
	CodeEditionLacksFeature Code = 10059
	// CodeGroupTooLarge: the group has more members than read receipts allow.
	CodeGroupTooLarge Code = 10060
	// CodeOnlineOnly: an online-only message has no receipts.
	CodeOnlineOnly Code = 10061
	// CodeNoReceipt: there is no receipt: the message was sent without needReadReceipt.
	CodeNoReceipt Code = 10062
)

// Code of the message service. [ERR]
const (
	// CodeMessageGone: the message is no longer there.
	CodeMessageGone Code = 20022
)

// Codes of the frame of the server API. [ERR] [R-OVER]
const (
	// CodeHTTPParse: the HTTP request or its URL cannot be read.
	CodeHTTPParse Code = 60002
	// CodeHTTPJSON: the body is not JSON, or too large.
	CodeHTTPJSON Code = 60003
	// CodeHTTPAccount: account and UserSig do not check out.
	CodeHTTPAccount Code = 60004
	// CodeHTTPUserSig: account and UserSig do not check out.
	CodeHTTPUserSig Code = 60005
	// CodeHTTPInvalidSDKAppID: bad sdkappid.
	CodeHTTPInvalidSDKAppID Code = 60006
	// CodeHTTPFrequency: this command is called too often.
	CodeHTTPFrequency Code = 60007
	// CodeHTTPTimeout: the service timed out, or the request has the wrong form.
	CodeHTTPTimeout Code = 60008
	// CodeHTTPResource: no such service or command in the URL.
	CodeHTTPResource Code = 60009
	// CodeHTTPNotAdmin: the identifier is not an administrator of the app.
	CodeHTTPNotAdmin Code = 60010
	// CodeHTTPAppFrequency: the app calls too often.
	CodeHTTPAppFrequency Code = 60011
	// CodeHTTPNoSDKAppID: sdkappid is missing.
	CodeHTTPNoSDKAppID Code = 60012
	// CodeHTTPTooFrequent: calls too frequent.
	CodeHTTPTooFrequent Code = 60018
	// CodeHTTPTooFrequentAlso: calls too frequent. Tencent has two codes for it.
	CodeHTTPTooFrequentAlso Code = 60019
	// CodeHTTPOverload: the server is overloaded.
	CodeHTTPOverload Code = 60022
)

// Codes of the UserSig. [ERR]
const (
	// CodeUserSigExpired: the UserSig has expired.
	CodeUserSigExpired Code = 70001
	// CodeUserSigEmpty: the UserSig is empty.
	CodeUserSigEmpty Code = 70002
	// CodeUserSigIllegal: the UserSig cannot be read, perhaps cut off.
	CodeUserSigIllegal Code = 70003
	// CodeUserSigKey: the UserSig was made with another key.
	CodeUserSigKey Code = 70009
	// CodeUserSigIdentifier: the UserSig is of another user.
	CodeUserSigIdentifier Code = 70013
	// CodeUserSigSDKAppID: the UserSig is of another app.
	CodeUserSigSDKAppID Code = 70014
	// CodeUserSigBlocked: too many failures, wait a minute.
	CodeUserSigBlocked Code = 70050
	// CodeAccountNotImported: no such account.
	CodeAccountNotImported Code = 70107
)

// Codes of message content. [ERR]
const (
	// CodeTextRefused: sensitive text.
	CodeTextRefused Code = 80001
	// CodeBodyTooLong: the message body is longer than 12 KB.
	CodeBodyTooLong Code = 80002
)

// Meaning says in a few words what c means, "" for a code that is not listed here.
func (c Code) Meaning() string {
	switch c {
	case CodeOK:
		return "ok"
	case CodeNotLoggedIn:
		return "not logged in"
	case CodeInvalidParameters, CodeGroupInvalidParameters:
		return "invalid parameters"
	case CodeAPICallFrequencyLimit, CodeHTTPFrequency, CodeHTTPTooFrequent, CodeHTTPTooFrequentAlso:
		return "calls too frequent"
	case CodeInterfaceNotSupport:
		return "not supported on this platform or by this package"
	case CodeGroupInternalError:
		return "server error, try again"
	case CodeGroupAPINameError:
		return "unknown command"
	case CodeGroupAccountCountLimit:
		return "too many accounts in one call"
	case CodeGroupFreqLimit:
		return "group operations too frequent"
	case CodeGroupPermissionDeny:
		return "no permission, not a member, or not for this type of group"
	case CodeGroupNotFound:
		return "no such group"
	case CodeGroupJSONParseFailed, CodeHTTPJSON:
		return "bad JSON"
	case CodeGroupInvalidID:
		return "bad operator"
	case CodeGroupAlreadyMember:
		return "already a member"
	case CodeGroupFull:
		return "group is full"
	case CodeGroupInvalidGroupID:
		return "bad group id"
	case CodeGroupRejected:
		return "refused by the app's callback"
	case CodeGroupMuted:
		return "sender is muted"
	case CodeGroupAccountNotFound, CodeAccountNotImported:
		return "no such account"
	case CodeGroupIDInUse:
		return "group id is taken"
	case CodeGroupSendFreqLimit:
		return "too many messages in this group"
	case CodeGroupAppDenied:
		return "command disabled for this app"
	case CodeMessageNotInGroup:
		return "message is not in the group"
	case CodeEditionLacksFeature:
		return "package does not include this feature"
	case CodeGroupTooLarge:
		return "group has too many members for read receipts"
	case CodeOnlineOnly:
		return "online-only message has no receipts"
	case CodeNoReceipt:
		return "message was not sent with needReadReceipt"
	case CodeMessageGone:
		return "message is gone"
	default:
		return c.frameMeaning()
	}
}

func (c Code) frameMeaning() string {
	switch c {
	case CodeHTTPParse:
		return "bad HTTP request"
	case CodeHTTPAccount, CodeHTTPUserSig:
		return "account and UserSig do not check out"
	case CodeHTTPInvalidSDKAppID:
		return "bad sdkappid"
	case CodeHTTPTimeout:
		return "service timed out"
	case CodeHTTPResource:
		return "no such service or command"
	case CodeHTTPNotAdmin:
		return "identifier is not an administrator"
	case CodeHTTPAppFrequency:
		return "app calls too often"
	case CodeHTTPNoSDKAppID:
		return "sdkappid is missing"
	case CodeHTTPOverload:
		return "server is overloaded"
	case CodeUserSigExpired:
		return "UserSig has expired"
	case CodeUserSigEmpty:
		return "UserSig is empty"
	case CodeUserSigIllegal:
		return "UserSig cannot be read"
	case CodeUserSigKey:
		return "UserSig was made with another key"
	case CodeUserSigIdentifier:
		return "UserSig is of another user"
	case CodeUserSigSDKAppID:
		return "UserSig is of another app"
	case CodeUserSigBlocked:
		return "too many bad UserSigs, wait a minute"
	case CodeTextRefused:
		return "sensitive text"
	case CodeBodyTooLong:
		return "message is longer than 12 KB"
	default:
		return ""
	}
}

// String returns the number and, if the code is known here, its meaning.
func (c Code) String() string {
	s := strconv.Itoa(int(c))
	if meaning := c.Meaning(); meaning != "" {
		s += " (" + meaning + ")"
	}
	return s
}

// Error is a failure that has a code of Tencent's. It is found with errors.As.
// Desc goes to the caller as desc or ErrorInfo: it says what to do and names
// nothing that the caller may not know.
type Error struct {
	Code Code
	Desc string
}

// NewError returns an *Error; without a desc it has the code's meaning.
func NewError(code Code, desc string) *Error {
	if desc == "" {
		desc = code.Meaning()
	}
	return &Error{Code: code, Desc: desc}
}

// Error returns the code's number and the description.
func (e *Error) Error() string { return strconv.Itoa(int(e.Code)) + ": " + e.Desc }
