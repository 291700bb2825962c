// Package tencent talks with Tencent Cloud Chat as the backend of an app: it calls the server REST
// API ([Client]) and takes the webhooks ([Webhooks]).
//
// The one idea: this package translates and decides nothing. A call is one HTTP request, made at most
// once; an event is handed over once and answered when it is stored. Whatever may have to be done
// again is told apart by the error and done again by the caller, which knows what is still missing.
//
// # Calls
//
// Tencent answers HTTP 200 to everything; the ErrorCode in the body decides. A failed call is one of:
//
//   - a [*TemporaryError]: nothing is wrong with what was asked, try again later. Network, overload,
//     too many calls, but also what an operator has to set right first (a wrong secret, the wrong
//     region), which matches [ErrOurs]: no work is dropped while he does.
//   - an [*APIError] that matches one of [ErrMessage], [ErrPerson], [ErrGroup] or [ErrRefused] under
//     errors.Is: it says what would have to change before the same call can succeed.
//   - the context's error, when the caller gave up.
//
// Each command has a rate limit of its own, by default half of what Tencent allows to the whole app,
// because the app's own backend shares it. A limit gives way when Tencent says that calls are too
// frequent, and comes back.
//
// # Webhooks
//
// Tencent knows one webhook URL per app, so that this endpoint may be behind the app's backend
// (which passes on what we need) or in front of it ([WebhooksConfig.Forward]). In front, it never
// holds the app up: the backend's answer goes back as soon as it is there.
//
// Names of fields in exported structs are Tencent's own, spelling included, so that its
// documentation can be read beside them. Sources are given as tags, such as [R-ACK]; their addresses:
//
//	[R-OVER]    https://trtc.io/document/34620
//	[ERR]       https://trtc.io/document/34348, https://cloud.tencent.com/document/product/269/1671
//	[LIMITS]    https://cloud.tencent.com/document/product/269/9346
//	[R-ACK]     https://cloud.tencent.com/document/product/269/107478
//	[R-GET]     https://cloud.tencent.com/document/product/269/77694
//	[R-DETAIL]  https://cloud.tencent.com/document/product/269/77693
//	[R-SEND]    https://cloud.tencent.com/doc/product/269/1629
//	[R-RECALL]  https://cloud.tencent.com/document/product/269/12341
//	[R-MOD]     https://cloud.tencent.com/document/product/269/74741
//	[R-HIST]    https://cloud.tencent.com/document/product/269/2738
//	[R-INFO]    https://cloud.tencent.com/document/product/269/1616
//	[R-MEMBERS] https://cloud.tencent.com/document/product/269/1617
//	[R-ADD]     https://cloud.tencent.com/doc/product/269/1621
//	[R-DEL]     https://cloud.tencent.com/document/product/269/1622
//	[R-GROUPS]  https://cloud.tencent.com/document/api/269/1614
//	[R-ACC]     https://cloud.tencent.com/document/product/269/1608
//	[R-MACC]    https://trtc.io/document/34954
//	[R-ACHK]    https://trtc.io/document/34956
//	[R-PGET]    https://cloud.tencent.com/document/product/269/1639
//	[R-PSET]    https://cloud.tencent.com/document/product/269/1640
//	[WH]        https://trtc.io/document/34354, https://cloud.tencent.com/document/api/269/1522
//	[WH-SIGN]   https://cloud.tencent.com/document/product/269/117703
//	[CB-RR]     https://cloud.tencent.com/document/product/269/105355
//	[CB-SEND]   https://cloud.tencent.com/doc/product/269/2661
//	[CB-RECALL] https://cloud.tencent.com/document/product/269/73141
//	[CB-JOIN]   https://trtc.io/document/34372
//	[CB-EXIT]   https://cloud.tencent.com/doc/product/269/1668
//	[CB-DESTROY] https://trtc.io/document/34377
//	[CB-CREATE] https://trtc.io/document/34369
//	[CB-INFO]   https://trtc.io/document/34378
//	[DOOCS]     https://github.com/doocs/qcloud-im-server-sdk-java
package tencent
