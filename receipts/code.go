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
	// CodeSDKNotLoggedIn: not logged in. ERR_SDK_NOT_LOGGED_IN.
	CodeSDKNotLoggedIn Code = 6014
	// CodeInvalidParameters: bad parameters. ERR_INVALID_PARAMETERS.
	CodeInvalidParameters Code = 6017
	// CodeAPICallFrequencyLimit: calls too frequent. ERR_SDK_COMM_API_CALL_FREQUENCY_LIMIT.
	CodeAPICallFrequencyLimit Code = 7008
	// CodeInterfaceNotSupported: the package or platform lacks the feature. ERR_SDK_INTERFACE_NOT_SUPPORT.
	CodeInterfaceNotSupported Code = 7013
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
	// CodePermissionDeny: no permission, not a member, or the type of group
	// does not have the feature. ERR_SVR_GROUP_PERMISSION_DENY.
	CodePermissionDeny Code = 10007
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
	// CodeReceiptNotIncluded: the package does not include the feature.
	CodeReceiptNotIncluded Code = 10059
	// CodeReceiptGroupTooLarge: the group has more members than read receipts allow.
	CodeReceiptGroupTooLarge Code = 10060
	// CodeReceiptOnlineMessage: an online-only message has no receipts.
	CodeReceiptOnlineMessage Code = 10061
	// CodeReceiptNotExist: there is no receipt: the message was sent without needReadReceipt.
	CodeReceiptNotExist Code = 10062
)

// Code of the message service. [ERR]
const (
	// CodeMessageGone: the message is no longer there.
	CodeMessageGone Code = 20022
)

// Codes of the frame of the server API. [ERR] [R-OVER]
const (
	// CodeHTTPParseFailed: the HTTP request or its URL cannot be read.
	CodeHTTPParseFailed Code = 60002
	// CodeJSONParseFailed: the body is not JSON, or too large.
	CodeJSONParseFailed Code = 60003
	// CodeAccountCheckFailed: account and UserSig do not check out.
	CodeAccountCheckFailed Code = 60004
	// CodeUserSigCheckFailed: account and UserSig do not check out.
	CodeUserSigCheckFailed Code = 60005
	// CodeSDKAppIDInvalid: bad sdkappid.
	CodeSDKAppIDInvalid Code = 60006
	// CodeCommandFrequencyLimit: this command is called too often.
	CodeCommandFrequencyLimit Code = 60007
	// CodeRequestTimeout: the service timed out, or the request has the wrong form.
	CodeRequestTimeout Code = 60008
	// CodeBadResource: no such service or command in the URL.
	CodeBadResource Code = 60009
	// CodeNotAdmin: the identifier is not an administrator of the app.
	CodeNotAdmin Code = 60010
	// CodeSDKAppIDFrequencyLimit: the app calls too often.
	CodeSDKAppIDFrequencyLimit Code = 60011
	// CodeSDKAppIDRequired: sdkappid is missing.
	CodeSDKAppIDRequired Code = 60012
	// CodeTooFrequent: calls too frequent.
	CodeTooFrequent Code = 60018
	// CodeTooFrequentToo: calls too frequent. Tencent has two codes for it.
	CodeTooFrequentToo Code = 60019
	// CodeOverload: the server is overloaded.
	CodeOverload Code = 60022
)

// Codes of the UserSig. [ERR]
const (
	// CodeUserSigExpired: the UserSig has expired.
	CodeUserSigExpired Code = 70001
	// CodeUserSigEmpty: the UserSig is empty.
	CodeUserSigEmpty Code = 70002
	// CodeUserSigIllegal: the UserSig cannot be read, perhaps cut off.
	CodeUserSigIllegal Code = 70003
	// CodeUserSigWrongKey: the UserSig was made with another key.
	CodeUserSigWrongKey Code = 70009
	// CodeUserSigWrongUser: the UserSig is of another user.
	CodeUserSigWrongUser Code = 70013
	// CodeUserSigWrongApp: the UserSig is of another app.
	CodeUserSigWrongApp Code = 70014
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
	case CodeSDKNotLoggedIn:
		return "not logged in"
	case CodeInvalidParameters, CodeGroupInvalidParameters:
		return "invalid parameters"
	case CodeAPICallFrequencyLimit, CodeCommandFrequencyLimit, CodeTooFrequent, CodeTooFrequentToo:
		return "calls too frequent"
	case CodeInterfaceNotSupported:
		return "not supported on this platform or by this package"
	case CodeGroupInternalError:
		return "server error, try again"
	case CodeGroupAPINameError:
		return "unknown command"
	case CodeGroupAccountCountLimit:
		return "too many accounts in one call"
	case CodeGroupFreqLimit:
		return "group operations too frequent"
	case CodePermissionDeny:
		return "no permission, not a member, or not for this type of group"
	case CodeGroupNotFound:
		return "no such group"
	case CodeGroupJSONParseFailed, CodeJSONParseFailed:
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
	case CodeReceiptNotIncluded:
		return "package does not include this feature"
	case CodeReceiptGroupTooLarge:
		return "group has too many members for read receipts"
	case CodeReceiptOnlineMessage:
		return "online-only message has no receipts"
	case CodeReceiptNotExist:
		return "message was not sent with needReadReceipt"
	case CodeMessageGone:
		return "message is gone"
	default:
		return c.frameMeaning()
	}
}

func (c Code) frameMeaning() string {
	switch c {
	case CodeHTTPParseFailed:
		return "bad HTTP request"
	case CodeAccountCheckFailed, CodeUserSigCheckFailed:
		return "account and UserSig do not check out"
	case CodeSDKAppIDInvalid:
		return "bad sdkappid"
	case CodeRequestTimeout:
		return "service timed out"
	case CodeBadResource:
		return "no such service or command"
	case CodeNotAdmin:
		return "identifier is not an administrator"
	case CodeSDKAppIDFrequencyLimit:
		return "app calls too often"
	case CodeSDKAppIDRequired:
		return "sdkappid is missing"
	case CodeOverload:
		return "server is overloaded"
	case CodeUserSigExpired:
		return "UserSig has expired"
	case CodeUserSigEmpty:
		return "UserSig is empty"
	case CodeUserSigIllegal:
		return "UserSig cannot be read"
	case CodeUserSigWrongKey:
		return "UserSig was made with another key"
	case CodeUserSigWrongUser:
		return "UserSig is of another user"
	case CodeUserSigWrongApp:
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
