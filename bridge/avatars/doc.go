// Package avatars fetches the pictures of people from addresses that strangers have written.
//
// The one idea: a URL in a Tencent user's profile is written by that user, so that whoever fetches it does a stranger's
// bidding from inside the operator's network. A [Fetcher] therefore takes only what is plainly a picture on the public
// internet: http or https, of limited size and time, a picture by its first bytes, and, unless the operator allows
// private addresses, from no address that could be this machine, its network or a cloud's metadata service. The address is
// looked at when the connection is made, after the name was resolved, so that no name can change its mind in between.
package avatars
