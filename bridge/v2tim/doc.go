// Package v2tim is the Tencent side as an app sees it.
package v2tim
