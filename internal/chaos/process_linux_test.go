package chaos

import "syscall"

// processAttributes lets the kernel end a timbridge whose test process has died. The thread that starts it must live as
// long as it is wanted.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
