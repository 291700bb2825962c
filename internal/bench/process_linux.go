package main

import "syscall"

// childAttributes: a process group of its own, and an end by the kernel when the thread that started the child ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
