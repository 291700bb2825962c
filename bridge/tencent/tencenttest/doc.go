// Package tencenttest is Tencent Cloud Chat in one's own process: the server API, the webhooks and the
// app's users, strict where a bridge could go wrong.
//
// It was written from the contract (what Tencent publishes) and not from any client, so that the two
// check each other. It keeps accounts, groups, messages and read receipts in memory and
//
//   - answers the server API under /v4/ with Tencent's field names, limits and error codes. It is
//     stricter than Tencent in one thing: a field that Tencent does not know, or spelt in other case, is
//     refused (10004) rather than ignored, because it is always a mistake of the caller;
//   - sends webhooks as Tencent does: POST with Tencent's query, two seconds to answer, in no order,
//     and, as told by [Server.Deliver] or [Server.Hold], twice, late or not at all;
//   - lets [User] values act as people with Tencent's own SDK would.
//
// Where Tencent's documentation leaves something open, [Points] has a field for it, and [Variants] runs
// through both readings of each. A client that is right works with all of them.
//
// The package does not need package testing: a program may run a [Server] to try things out. Start in
// testing.go is for tests; wait with [Server.WaitFor] and never sleep.
package tencenttest
