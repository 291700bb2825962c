package tencent

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/receipts"
)

func TestClassify(t *testing.T) {
	for class, codes := range map[error][]receipts.Code{
		ErrMessage:   {10052, 10061, 10062, 20022, 20016, 10030, 10035, 80001, 80002, 93000, 10016, 90001, 90055},
		ErrPerson:    {10007, 10017, 10019, 70107, 10037, 20003, 20012},
		ErrGroup:     {10010, 10015, 10014, 10059, 10060, 10058, 70398, 10038, 10054},
		ErrFrequency: {60007, 60011, 60018, 60019, 10006, 10023, 60028, -10113},
		ErrOurs:      {70001, 70003, 70009, 70013, 70014, 70050, 70052, 60006, 60010, 60012, 60016, 60020, 60021, 60026, 70403, 10026, 90009, 20002},
		ErrRefused:   {10003, 10004, 10005, 10011, 60002, 60003, 70402, 12345, -1, 10100, 10018, 10013},
		errTransient: {10002, 60008, 60022, 70169, 70202, 70500, 80003, 90992},
	} {
		for _, code := range codes {
			err := &APIError{Command: "x", Code: code}
			require.Equal(t, class, Classify(code), "code %d", code)
			require.ErrorIs(t, err, class, "code %d", code)
			require.ErrorIs(t, fmt.Errorf("failed: %w", err.asError()), class, "code %d", code)
			for _, other := range []error{ErrMessage, ErrPerson, ErrGroup, ErrFrequency, ErrOurs, ErrRefused} {
				require.Equal(t, other == class, errors.Is(err.asError(), other), "code %d, %v", code, other)
			}
			var temporary *TemporaryError
			retry := class == errTransient || class == ErrFrequency || class == ErrOurs
			require.Equal(t, retry, errors.As(err.asError(), &temporary), "code %d", code)
			if retry {
				require.False(t, temporary.Unclear, "an answer is clear")
			}
		}
	}
	require.NoError(t, Classify(0))
}

func TestRetryAfter(t *testing.T) {
	for code, want := range map[receipts.Code]time.Duration{10002: 0, 60007: time.Second, 60028: 10 * time.Minute, 70050: time.Minute} {
		var temporary *TemporaryError
		require.ErrorAs(t, (&APIError{Code: code}).asError(), &temporary)
		require.Equal(t, want, temporary.RetryAfter, "code %d", code)
	}
}

func TestErrorText(t *testing.T) {
	err := &APIError{Command: "group_msg_receipt", Code: 10062, Info: "no receipt"}
	require.Equal(t, "group_msg_receipt: Tencent answered 10062 (message was not sent with needReadReceipt): no receipt", err.Error())
}
