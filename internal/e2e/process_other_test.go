//go:build !linux

package e2e

import "syscall"

// processAttributes: only Linux can tie the life of a timbridge to ours.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
