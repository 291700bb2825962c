// Package relay translates messages: what a Tencent message is in a Matrix room ([ToMatrix]), and what
// a Matrix event is in a Tencent group ([ToTencent], [EditToTencent]).
//
// The one idea: a message arrives as something a person can read. Text stays as it is, to the letter,
// and everything else becomes at least a line that says what it was, with its description and its link.
// Nothing is dropped because it is new, malformed or too long: unknown things have a line too, and a
// text that is too long for one message becomes several. Only descriptions in such a line are cut,
// after 500 characters.
//
// The package is pure: no I/O, no clock, no goroutine, no log. It knows neither the Tencent client nor
// the homeserver; what a message names (people, other messages, media) is looked up by a
// [TencentResolver] or a [MatrixResolver]. Functions are safe for concurrent use as far as their
// resolver is. Input comes from strangers: it may be malformed in every way, and takes time and memory
// in proportion to its size, never more.
//
// # Replies
//
// Tencent's server knows no replies. Its UI kits put them into CloudCustomData, and so does this
// package, as the UI kits' quotes [UIKIT]:
//
//	{"messageReply":{"messageID":"…","messageAbstract":"…","messageSender":"…","messageType":1,
//	 "messageTime":1664437702,"messageSequence":85,"version":1}}
//
// messageSender is a name to be shown, not a UserID. A messageRootID would make it a reply within a
// thread; there is none in a quote. A reply to a message that the other side does not have becomes a
// quoted line in the text. An event of a Matrix thread names an earlier message for clients without
// threads; Tencent's apps are such.
//
// # Links
//
// Only http and https links without a user name are ever put into a text, and never one that could
// break out of its line.
//
// Sources are given as tags, such as [R-FORMAT]; their addresses:
//
//	[R-FORMAT]  https://cloud.tencent.com/document/product/269/2720, https://trtc.io/document/33527
//	[LIMITS]    https://cloud.tencent.com/document/product/269/9346
//	[R-SEND]    https://cloud.tencent.com/doc/product/269/1629
//	[R-MOD]     https://cloud.tencent.com/document/product/269/74741
//	[AT]        https://pub.dev/documentation/tencent_cloud_chat_sdk/7.9.5693/manager_v2_tim_message_manager/V2TIMMessageManager/createTextAtMessage.html
//	[UIKIT]     https://github.com/TencentCloud/TIMSDK, https://github.com/Tencent-RTC/Chat_UIKit
//	[MX-MSG]    https://spec.matrix.org/v1.19/client-server-api/#instant-messaging
//	[MX-SIZE]   https://spec.matrix.org/v1.19/client-server-api/#size-limits
//	[MX-AT]     https://spec.matrix.org/v1.19/client-server-api/#user-and-room-mentions
//	[MX-EDIT]   https://spec.matrix.org/v1.19/client-server-api/#event-replacements
//	[MX-REPLY]  https://spec.matrix.org/v1.12/client-server-api/#fallbacks-for-rich-replies
//	[MSC3381]   https://github.com/matrix-org/matrix-spec-proposals/pull/3381
//	[RFC5870]   https://www.rfc-editor.org/rfc/rfc5870
package relay
