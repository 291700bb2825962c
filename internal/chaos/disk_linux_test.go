package chaos

import (
	"syscall"
	"unsafe"
)

// limitFiles sets how large a file a running process may write, as a full disk or `ulimit -f` does: what is beyond fails. The signal
// that comes with it (SIGXFSZ) Go programs do not die of.
func limitFiles(pid int, bytes uint64) error {
	if pid == 0 { // would be ourselves
		return syscall.ESRCH
	}
	limit := syscall.Rlimit{Cur: bytes, Max: ^uint64(0)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
