package lab

import "syscall"

// processAttributes puts a child in a process group of its own and lets the kernel kill it when the thread that
// started it ends: a test that panics or is killed leaves no homeserver behind. The thread must live as long as the
// child is wanted, see startProcess.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
