// Package webserver is the HTTP server under each of timbridge's listeners. It is net/http's with bounds: on how many connections
// there are, on how long anything may take, and on the size of headers; and, if wanted, with TLS.
//
// The one idea: a connection that asks for nothing costs its owner nothing, so it must cost us nothing either. Connections are
// counted; when there are too many, the one that has waited longest without a request being answered on it is closed, whether it is
// idle, sends its headers one byte a minute or has not begun its TLS handshake. A flood of such connections pushes out its own, and
// who has something to ask gets in. Only while requests are being answered on all of them is a new one turned away.
//
// HTTP/2 is not offered: on one connection it would have hundreds of requests, which no bound here would see.
package webserver
