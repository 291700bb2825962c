// Package lab runs real Matrix homeservers and clients on this machine, for the end-to-end tests and the demo.
//
// The one idea: what timbridge does is only believed when another Matrix user's client sees it. So a test starts a real
// Synapse or Dendrite ([Run], [Start]) in a temporary folder on a loopback port, registers ordinary users
// ([Homeserver.RegisterUser]), lets them talk and read ([User]), and waits until one of them sees the outcome in his own
// /sync ([User.Watch], [Watcher.WaitReceipt]) or in matrix-js-sdk, the library under Element ([StartJSClient]).
// Nothing here sleeps and hopes: every wait is for a condition and has an end.
//
// The servers are fetched by .ci/get-synapse.sh, .ci/get-dendrite.sh and .ci/get-js-sdk.sh (`make lab`) into .lab, or where
// $TIMBRIDGE_LAB says. One that cannot be had is left out with its reason ([Available], [Require]).
//
// timbridge itself, as the process that an operator runs, is a [Program], built by [BuildTimbridge]: for internal/e2e and internal/chaos.
//
// Every process started here dies with the process that started it, however that ends (Linux), and only processes
// started here are ever ended. Nothing is bound to any address but 127.0.0.1.
//
// The package uses its own small Matrix client over net/http and not mautrix: timbridge uses mautrix, and a test that
// shares its decoder would share its mistakes.
package lab
