package servedlog

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
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
	sample               Sample
}

// Stream returns where rows of a service go; nil if nothing of it is recorded.
func (l *Log) Stream(p *plan.Service) (*Stream, error) {
	sample := l.Sample(p.Name)
	if sample == 0 {
		return nil, nil
	}
	s := &Stream{log: l, service: p.Name, fingerprint: p.Fingerprint.String(), layout: layoutOf(p, l.HidesKeys()), sample: sample}
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
	return s.sample == All || s.sample.Has(Hash(keys, row))
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
