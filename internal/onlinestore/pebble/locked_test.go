package pebble

import (
	"errors"
	"testing"
)

func TestOpenSaysWhoHoldsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var locked *LockedError
	if _, err := Open(dir, Options{}); !errors.As(err, &locked) || locked.Dir != dir {
		t.Errorf("Open of a directory in use: %v, want a LockedError", err)
	}
}
