//go:build !linux

package disktest

import "errors"

func mount(string, int64) error { return errors.New("only Linux has tmpfs") }

func unmount(string) error { return nil }
