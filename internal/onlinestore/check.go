package onlinestore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/unskew/unskew/internal/limits"
)

// ErrClosed is returned by every method of a closed store and of its loaders.
var ErrClosed = errors.New("the online store is closed")

// ErrOutcomeUnknown is wrapped by the error of a Swap, Put, Close or DeletePrefix that may or
// may not have taken effect: the request was sent and no answer came. Reading the keys shows the
// outcome; swapping again is safe.
var ErrOutcomeUnknown = errors.New("whether it took effect is unknown; read the keys again")

// ErrUnavailable is wrapped by errors of a store that cannot be reached, does not answer in time or
// cannot do its work at present.
var ErrUnavailable = errors.New("the online store is not available")

// Limits of keys and values.
const (
	MaxKeyBytes   = limits.StoreKeyBytes
	MaxValueBytes = limits.StateBytes
)

// revisionBytes is the length of the revision at the beginning of a value.
const revisionBytes = 8

// Revision returns the revision of a value, Absent for a value too short to have one.
func Revision(value []byte) uint64 {
	if len(value) < revisionBytes {
		return Absent
	}
	return binary.BigEndian.Uint64(value)
}

// CheckWrites returns an error for the first write that breaks the contract.
func CheckWrites(writes []Write) error {
	for i, w := range writes {
		if err := CheckPair(w.Key, w.Value); err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
		if r := Revision(w.Value); r == w.Expect {
			return fmt.Errorf("write %d: the revision of key %q would stay %d: it must change", i, w.Key, r)
		}
	}
	return nil
}

// CheckPair returns an error if the key or the value breaks the contract.
func CheckPair(key, value []byte) error {
	if len(key) == 0 || len(key) > MaxKeyBytes {
		return fmt.Errorf("a key has %d bytes, 1 to %d are allowed", len(key), MaxKeyBytes)
	}
	if len(value) > MaxValueBytes {
		return fmt.Errorf("the value of key %q has %d bytes, at most %d are allowed", key, len(value), MaxValueBytes)
	}
	if Revision(value) == Absent {
		return fmt.Errorf("the value of key %q does not begin with a revision of at least 1", key)
	}
	return nil
}

// CheckPrefix returns an error unless the prefix can be scanned or deleted. An empty prefix
// would be the whole store.
func CheckPrefix(prefix []byte) error {
	if len(prefix) == 0 || len(prefix) > MaxKeyBytes {
		return fmt.Errorf("a key prefix has %d bytes, 1 to %d are allowed", len(prefix), MaxKeyBytes)
	}
	return nil
}
