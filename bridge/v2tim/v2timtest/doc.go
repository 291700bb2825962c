// Package v2timtest is a small typed client of the V2TIM API, for tests and the
// demo: what an app's SDK and an app's backend would do, without the SDK.
package v2timtest
