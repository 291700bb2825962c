package tencent

import (
	"errors"
	"fmt"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// Classes of what Tencent refuses. They match with errors.Is.
var (
	// ErrMessage: a message is the reason: it is gone, not of this group, has no receipt, may not be
	// recalled any more, is too long or not allowed. The same call without that message may succeed.
	ErrMessage = errors.New("refused because of a message")
	// ErrPerson: a person is the reason: not a member, muted, no such account. It may succeed after
	// that person's membership or account has changed.
	ErrPerson = errors.New("refused because of a person")
	// ErrGroup: the group or the app's package is the reason: dismissed, too large, full, or the
	// feature is not included. Nothing for this group succeeds until that changes.
	ErrGroup = errors.New("refused because of the group or the package")
	// ErrFrequency: calls are too frequent. It comes inside a *TemporaryError.
	ErrFrequency = errors.New("calls are too frequent")
	// ErrOurs: our own configuration is the reason: secret, administrator, SDKAppID, region, a command
	// or source address that the app does not allow. It comes inside a *TemporaryError: all work waits
	// until an operator has set it right.
	ErrOurs = errors.New("refused because of our own configuration")
	// ErrRefused: Tencent refused for another reason (bad parameters, a code not known here). Trying
	// the same again is of no use.
	ErrRefused = errors.New("refused by Tencent")
	// ErrArgument: the call was not made, because an argument is outside Tencent's limits.
	ErrArgument = errors.New("argument outside the limits")
)

// errTransient is the class of codes that say "try again".
var errTransient = errors.New("temporary failure of Tencent")

// TemporaryError is a failure that may be gone at the next try.
type TemporaryError struct {
	// RetryAfter is how long to wait at least, 0 if that is left to the caller.
	RetryAfter time.Duration
	// Unclear says that Tencent may have done what was asked: the request went out and no answer of
	// Tencent's came back. Asking again does it twice where a call is not idempotent.
	Unclear bool
	Err     error
}

// Error returns the text of the cause.
func (e *TemporaryError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TemporaryError) Unwrap() error { return e.Err }

// APIError is an answer of Tencent's that is no success. Under errors.Is it matches the class of its
// code, see [Classify].
type APIError struct {
	// Command is the name of the call, such as group_msg_receipt.
	Command string
	Code    receipts.Code
	// Info is Tencent's ErrorInfo, at most 200 bytes of it.
	Info string
}

// Error returns the command, the code and Tencent's text.
func (e *APIError) Error() string {
	return fmt.Sprintf("%s: Tencent answered %s: %s", e.Command, e.Code, e.Info)
}

// Is implements the match with the classes.
func (e *APIError) Is(target error) bool { return target != nil && Classify(e.Code) == target }

const maxInfo = 200

// How long to wait for what does not pass by itself within seconds.
const (
	retryOurs     = time.Minute      // what an operator has to set right; 70050 asks for a minute itself
	retryDailyCap = 10 * time.Minute // 60028
)

// asError turns a code into the error that a call returns.
func (e *APIError) asError() error {
	switch Classify(e.Code) {
	case errTransient:
		return &TemporaryError{Err: e}
	case ErrFrequency:
		if e.Code == codeDailyCap {
			return &TemporaryError{RetryAfter: retryDailyCap, Err: e}
		}
		return &TemporaryError{RetryAfter: slowPause, Err: e}
	case ErrOurs:
		return &TemporaryError{RetryAfter: retryOurs, Err: e}
	default:
		return e
	}
}

// Codes that only this file needs. [ERR]
const (
	codeDailyCap      receipts.Code = 60028 // trial edition: calls of this day are used up
	codeAccountsLimit receipts.Code = 70398 // trial edition: no more accounts
)

// Classify returns the class of an ErrorCode, or of the Code of one entry of a list: [ErrMessage],
// [ErrPerson], [ErrGroup], [ErrFrequency], [ErrOurs], [ErrRefused] for what is not known here, or an
// error that is none of them for a passing fault. It returns nil for [receipts.CodeOK]. [ERR]
func Classify(code receipts.Code) error {
	switch code {
	case receipts.CodeOK:
		return nil
	case receipts.CodeCommandFrequencyLimit, receipts.CodeSDKAppIDFrequencyLimit, receipts.CodeTooFrequent,
		receipts.CodeTooFrequentToo, receipts.CodeGroupFreqLimit, receipts.CodeGroupSendFreqLimit, codeDailyCap,
		-10113, -20009: // the access layer, the terminal
		return ErrFrequency
	case receipts.CodeMessageNotInGroup, receipts.CodeReceiptOnlineMessage, receipts.CodeReceiptNotExist, receipts.CodeMessageGone,
		receipts.CodeTextRefused, receipts.CodeBodyTooLong, receipts.CodeGroupRejected,
		10030, 10031, 10032, 10033, 10034, 10035, // recall and delete: not found, too late, denied
		20016, // too late to recall
		93000: // longer than 12 KB
		return ErrMessage
	case receipts.CodePermissionDeny, receipts.CodeGroupMuted, receipts.CodeGroupAccountNotFound, receipts.CodeAccountNotImported,
		10037, // in too many groups
		20003, // bad UserID
		20012, // muted in the whole app
		40003: // profile of an account that was not imported
		return ErrPerson
	case receipts.CodeGroupNotFound, receipts.CodeGroupInvalidGroupID, receipts.CodeGroupFull, receipts.CodeReceiptNotIncluded,
		receipts.CodeReceiptGroupTooLarge, codeAccountsLimit,
		10038, 10054, // no more members
		10058: // trial edition: no more groups
		return ErrGroup
	}
	return classifyService(code)
}

// classifyService classifies what is about the service rather than about what was asked.
func classifyService(code receipts.Code) error {
	switch code {
	case receipts.CodeGroupInternalError, receipts.CodeRequestTimeout, receipts.CodeOverload,
		20004, 20005, // internal errors of the message service
		60013,               // their answer was unreadable to themselves
		60014,               // exchanging the account timed out
		70169, 70202, 70500, // the account service timed out or failed
		80003,                             // the app's before-callback did not answer and is set to deny
		90992, 90994, 90995, 91000, 93001: // internal errors of the message service
		return errTransient
	case receipts.CodeAccountCheckFailed, receipts.CodeUserSigCheckFailed, receipts.CodeSDKAppIDInvalid, receipts.CodeBadResource,
		receipts.CodeNotAdmin, receipts.CodeSDKAppIDRequired, receipts.CodeGroupAppDenied,
		20002, // bad UserSig
		60016, // the app is disabled
		60020, // no package
		60021, // source address not allowed
		60025, // URL parameters
		60026, // the domain is not of the app's region
		70016, // no key
		70020, // no such app
		70403, // an administrator is needed
		90009: // an administrator is needed
		return ErrOurs
	}
	switch {
	case code >= receipts.CodeUserSigExpired && code <= 70052:
		return ErrOurs
	case code >= 90001 && code <= 90055:
		return ErrMessage
	}
	return ErrRefused
}
