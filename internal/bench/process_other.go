//go:build !linux

package main

import "syscall"

// childAttributes: elsewhere a child has to be ended by hand when this program was killed. (Nor is there a /proc to measure by.)
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
