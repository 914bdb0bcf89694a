package disktest

import (
	"fmt"
	"syscall"
)

func mount(dir string, bytes int64) error {
	return syscall.Mount("disktest", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
}

func unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
