//go:build !linux

package lab

import "syscall"

// processAttributes puts a child in a process group of its own. Only Linux can tie its life to ours.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
