//go:build !linux

package chaos

import "syscall"

// processAttributes: only Linux can tie the life of a timbridge to ours.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
