package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/unskew/unskew/featuredefs/plan"
)

// asideFormat is the format of a record that is stored in place of a state that cannot be
// stored: revision, format, fingerprint, newest (Always), reason, CRC-32C. asideFormat5 has the applied
// positions behind the fingerprint, as format 5 of states has.
const (
	asideFormat  = 0xff
	asideFormat5 = 0xfe
)

// lostFormat is the format of a record that says that the store has lost the state of an entity:
// revision, format, fingerprint, newest (Always), reason, CRC-32C.
const lostFormat = 0xfd

// missing says why there is no state of an entity that has events.
type missing struct {
	reason string
	lost   bool // by the store; else it was set aside
}

func (m missing) String() string {
	if m.lost {
		return "the entity's state is lost: " + m.reason
	}
	return "the entity's state was set aside: " + m.reason
}

// AppendLost appends the record of a lost state. Its revision is any that the key has never had. No
// events may be applied to it; features that need them have the status Lost.
func AppendLost(dst []byte, view plan.Fingerprint, revision uint64, reason string) []byte {
	begin := len(dst)
	dst = append(binary.BigEndian.AppendUint64(dst, revision), lostFormat)
	dst = append(dst, view[:fingerprintLen]...)
	dst = binary.AppendVarint(dst, int64(plan.Always))
	return seal(append(dst, reason...), begin)
}

// SetAside replaces s by a record of why it cannot be stored. The record has the applied positions and
// the reason, but no events. Every aggregate read from it is an error. No events may be
// applied to it; only a new build from history restores the entity.
func (s *State) SetAside(reason string) {
	applied := s.applied
	s.Reset()
	s.applied, s.aside = applied, reason
}

// Aside is the reason for which the state was set aside, "" if it was not.
func (s *State) Aside() string { return s.aside }

// Lost reports whether s is the record of a state that the store has lost; Aside is the reason.
func (s *State) Lost() bool { return s.lost }

// Encode is Append with checks, for storing the state. If Decode would refuse the state, or
// its encoding is longer than limit bytes, Encode sets it aside and encodes the record of that
// instead. aside is the reason, "" for a state that can be stored.
func (s *State) Encode(dst []byte, limit int) (encoded []byte, aside string) {
	begin := len(dst)
	if err := s.Check(); err != nil {
		s.SetAside(err.Error())
		return s.Append(dst), s.aside
	}
	encoded = s.Append(dst)
	if n := len(encoded) - begin; n > limit {
		s.SetAside(fmt.Sprintf("the state has %d bytes, at most %d are allowed", n, limit))
		encoded = s.Append(encoded[:begin])
	}
	return encoded, s.aside
}

func (s *State) appendAside(dst []byte) []byte {
	return append(binary.AppendVarint(dst, int64(s.newest)), s.aside...)
}

// decodeAside reads the reason, which must not be empty. The newest time must be Always.
func (s *State) decodeAside(body []byte) error {
	if len(body) == 0 || s.newest != plan.Always {
		return errState
	}
	s.aside = string(body)
	return nil
}

// ErrDamaged is wrapped by errors of stored bytes that are not, or not any more, what a program
// like this one wrote for the view. States of a format that this program does not know are no such.
var ErrDamaged = errors.New("the stored state is damaged")

// appendHeader begins an encoding in the first of two formats, or in the second, which has applied
// positions, if there are others than of the first shard. seal appends the checksum of the encoding that
// began at begin.
func (s *State) appendHeader(dst []byte, format, sharded byte) []byte {
	first := s.applied.OnlyFirst()
	if !first {
		format = sharded
	}
	dst = append(binary.BigEndian.AppendUint64(dst, s.Revision()), format)
	dst = append(dst, s.view.plan.Fingerprint[:fingerprintLen]...)
	if first {
		return dst
	}
	return s.applied.Append(dst)
}

func seal(dst []byte, begin int) []byte {
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[begin:], castagnoli))
}

// readMissing makes every aggregate of row i an error.
func (k *View) readMissing(i int, m missing) {
	for _, v := range k.aggs {
		v.SetErr(i)
	}
	if k.missing == nil {
		k.missing = map[int]missing{}
	}
	k.missing[i] = m
}
