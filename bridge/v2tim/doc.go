// Package v2tim is the Tencent side as an app sees it: an HTTP API in the frame of
// Tencent's own server API, on which the calls of the V2TIM SDK (such as
// sendMessageReadReceipts) can be made and a WebSocket on which its callbacks (such
// as onRecvMessageReadReceipts) arrive.
//
// The one idea: this package is the counter, not the shop. It finds out who calls,
// reads what he wants, refuses what is malformed, and puts every answer into its
// frame; what a call means is decided behind the three small interfaces [Service],
// [Admin] and [Events], which the bridge core implements. So it holds no state but
// buckets of tokens and open connections.
//
// A call is
//
//	POST /v4/{service}/{command}?sdkappid=N&identifier=USER&usersig=SIG&random=R&contenttype=json
//
// with a JSON body. Three services are served: v2tim (what an app's SDK offers; any
// user), group_open_http_svc (Tencent's server API about receipts and members) and
// timbridge (the mapping); the latter two for administrators only. Every answer,
// also to the worst of input, is HTTP 200 with JSON that has a code:
//
//	v2tim                            {"code":0,"desc":"","data":…}
//	group_open_http_svc, timbridge   {"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,…}
//
// # Codes
//
// These are the codes that this package gives by itself, in the order in which it
// checks; those of [Service] and [Admin] come after them. A description (desc,
// ErrorInfo) says more and stands with failures only. Meanings and sources are with
// [receipts.Code].
//
//	60009  the path is not /v4/{one of the three services}/…
//	60002  wrong method; query unreadable, above 8 KiB, or naming the caller twice;
//	       events without a WebSocket upgrade
//	60012  sdkappid is missing
//	60006  sdkappid is not this app's
//	6014   v2tim: identifier or usersig is missing
//	60004  server API: identifier or usersig is missing
//	70003  usersig cannot be decoded (or is above 4 KiB, or inflates above 8 KiB)
//	70009  usersig was not made with this app's secret
//	70013  usersig is of another identifier; the identifier is no user ID (1 to 32
//	       printable ASCII bytes)
//	70014  usersig is of another sdkappid
//	70001  usersig has expired
//	70050  in place of 70003 to 70014: too many of them came from this address
//	60010  server API: the identifier is not an administrator
//	10003  unknown command
//	7013   receipt calls: denied by X-TIM-Platform or X-TIM-SDK-Version; events where
//	       there are none
//	7008   v2tim: too many calls, or too many listeners, of this user
//	60003  the body is too large or not JSON
//	60008  the body did not arrive in time
//	60022  events: too many listeners in all, or the server is stopping
//	6017   v2tim: a value is of the wrong type, missing, or out of range
//	10004  server API: the same
//	10005  server API: too many members in one call
//	8001   sendMessage: text or customData above 12 KiB (the code with which the SDK
//	       refuses it; 80002 is the server's, which apps do not meet)
//	10026  server API: no [Admin] behind it
//	10002  something broke or took too long; trying again may help
//
// Numbers and truth values may also come as strings, truth values as 0 and 1.
// Fields that are not known are left alone.
//
// # Events
//
// GET /v4/v2tim/events?…&cursor=C opens a WebSocket; each frame is an [Event]. How
// receipts are coalesced and what a cursor promises is told at [Event]. A client that
// does not take a frame, or answer a ping, within Config.WriteTimeout is dropped; it
// comes back with its cursor and loses nothing.
//
// # Cost
//
// A UserSig is verified on every call (about 5 µs). Remembering verified ones was
// measured and left out: it would save a thirtieth of a call on loopback and nothing
// beside a commit.
package v2tim
