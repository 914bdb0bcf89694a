package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// usage is the resources that a process used.
type usage struct {
	wall, cpu time.Duration // cpu is of all threads, in user and system mode
	peak      int64         // peak resident memory in bytes
}

// faster returns the usage of the faster of two runs.
func (u usage) faster(v usage) usage {
	if u.wall == 0 || v.wall < u.wall {
		return v
	}
	return u
}

// measure runs a program to its end. This process must use little memory, because the peak
// that the system reports for a program includes that of the process that started it.
func measure(ctx context.Context, program string, args ...string) (usage, error) {
	c := exec.CommandContext(ctx, program, args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	begin := time.Now()
	err := c.Run()
	u := usage{wall: time.Since(begin)}
	if err != nil {
		return u, fmt.Errorf("%s: %w: %s", args[0], err, bytes.TrimSpace(out.Bytes()))
	}
	u.cpu = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	u.peak = c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	return u, nil
}

// self is the path of this program.
func self() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return path, nil
}
