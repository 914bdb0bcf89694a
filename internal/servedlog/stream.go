package servedlog

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/internal/vector"
)

// Stream is the rows of a service.
type Stream struct {
	log                  *Log
	service, fingerprint string
	layout               layout
	fields               []plan.Field
	schema               *parquetfile.Schema
	below                uint64 // rows with a smaller hash are recorded
	all                  bool   // all rows are
}

// Stream returns where rows of a service go; nil if nothing of it is recorded.
func (l *Log) Stream(p *plan.Service) (*Stream, error) {
	rate := l.cfg.rate(p.Name)
	if rate <= 0 {
		return nil, nil
	}
	s := &Stream{log: l, service: p.Name, fingerprint: p.Fingerprint.String(), layout: layoutOf(p, l.cfg.Secret != nil)}
	if s.all = rate >= 1; !s.all {
		s.below = uint64(rate * math.MaxUint64)
	}
	s.fields = s.layout.fields()
	var err error
	if s.schema, err = parquetfile.SchemaOf(s.fields); err != nil {
		return nil, fmt.Errorf("served log of service %s: %w", p.Name, err)
	}
	return s, nil
}

// Samples reports whether a row with these keys is recorded. It depends on the keys and the rate alone, so
// rows of the same entities always or never are, on every server; what is recorded at a rate is part of what is
// at a higher one.
func (s *Stream) Samples(keys []*vector.Vector, row int) bool {
	return s.all || hash(keys, row) < s.below
}

// hash is the 64-bit FNV-1a hash of the keys in canonical form, finished as MurmurHash3 does. It is part of
// the format.
func hash(keys []*vector.Vector, row int) uint64 {
	var memory [64]byte
	key := memory[:0]
	for k := range keys {
		var ok bool
		if key, ok = entitykey.AppendRow(key, keys[k:k+1], row); !ok {
			key = append(key, byte(plan.Null))
		}
	}
	x := uint64(0xcbf29ce484222325)
	for _, c := range key {
		x = (x ^ uint64(c)) * 0x100000001b3
	}
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// keptBytes bounds the memory that a Row keeps for the next one.
const keptBytes = 1 << 20

// Write records a row, of which it keeps nothing. It returns false if the row was dropped. It never waits.
func (s *Stream) Write(r *Row) bool {
	why := s.log.full()
	if why == "" {
		r.encoded = s.append(r.encoded[:0], r)
		why = s.log.enqueue(queued{s, bytes.Clone(r.encoded)})
		if cap(r.encoded) > keptBytes {
			r.encoded = nil
		}
	}
	if why != "" {
		s.log.metrics.drop(why, 1)
	}
	return why == ""
}

// hidden replaces a key by its HMAC if there is a secret. Equal keys stay equal.
func (l *Log) hidden(key plan.Value) plan.Value {
	if l.cfg.Secret == nil || key.IsNull() {
		return key
	}
	mac := hmac.New(sha256.New, l.cfg.Secret)
	_, _ = mac.Write(plan.AppendCanonical(nil, key)) // never fails
	return plan.StringValue(hex.EncodeToString(mac.Sum(nil)))
}
