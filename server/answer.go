package server

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/wire"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// The fields of GetFeaturesResponse and of Output in the contract.
const (
	answerFingerprint = 1
	answerAsOf        = 2
	answerRows        = 3
	answerOutputs     = 4
	answerStates      = 5
	answerFreshness   = 6
	answerStaleness   = 7

	outputColumn   = 1
	outputType     = 2
	outputStatuses = 3
	outputReasons  = 4
)

// encoding is how an answer is written.
type encoding struct {
	compact, json, states bool
	whole                 bool // the answer has one row and all outputs, none of them STALE
	most                  int  // in bytes
}

func (e encoding) tooLong() error {
	return tooMuch("the answer has more than %d bytes; ask for fewer rows or features at a time", e.most)
}

// append appends an answer to dst.
func (s *service) append(dst []byte, q *query, a *answer, how encoding) ([]byte, error) {
	if how.json {
		return s.appendJSON(dst, q, a, how)
	}
	return s.appendBinary(dst, q, a, how)
}

// appendBinary appends an answer to dst as a GetFeaturesResponse in protobuf's binary format.
func (s *service) appendBinary(dst []byte, q *query, a *answer, how encoding) ([]byte, error) {
	if !how.compact {
		dst = protowire.AppendString(protowire.AppendTag(dst, answerFingerprint, protowire.BytesType), s.fingerprint)
	}
	if a.asOf != 0 {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, answerAsOf, protowire.VarintType), uint64(a.asOf))
	}
	dst = protowire.AppendVarint(protowire.AppendTag(dst, answerRows, protowire.VarintType), uint64(q.n))
	dst, err := s.appendOutputs(dst, q, a, how)
	if err != nil {
		return nil, err
	}
	dst = s.appendFreshness(dst, q)
	if !how.states {
		return dst, nil
	}
	for _, v := range a.views {
		var at int
		var err error
		dst, at = wire.OpenMessage(dst, answerStates)
		if dst, err = (proto.MarshalOptions{}).MarshalAppend(dst, v.state()); err != nil {
			return nil, err
		}
		dst = wire.CloseMessage(dst, at)
	}
	return dst, nil
}

// appendOutputs appends the outputs of an answer, with those that were kept as they are.
func (s *service) appendOutputs(dst []byte, q *query, a *answer, how encoding) (_ []byte, err error) {
	if !how.whole {
		return s.appendEach(dst, q.outputs, q, a, how)
	}
	for _, x := range s.runs {
		if kept := a.segment(x, how); kept != nil {
			dst = append(dst, kept...)
			continue
		}
		from := len(dst)
		if dst, err = s.appendEach(dst, s.all[x.from:x.to], q, a, how); err != nil {
			return nil, err
		}
		a.noteSegment(x, how, dst[from:])
	}
	return dst, nil
}

// appendEach appends some outputs, in JSON with a comma after each.
func (s *service) appendEach(dst []byte, outputs []int, q *query, a *answer, how encoding) (_ []byte, err error) {
	for _, o := range outputs {
		if how.json {
			dst, err = s.appendOutputJSON(dst, o, q, a, how.compact)
		} else {
			dst, err = s.appendOutput(dst, o, q, a, how.compact)
		}
		if err != nil {
			return nil, err
		}
		if len(dst) > how.most {
			return nil, how.tooLong()
		}
	}
	return dst, nil
}

// appendOutput appends an Output as a field of the answer.
func (s *service) appendOutput(dst []byte, o int, q *query, a *answer, compact bool) ([]byte, error) {
	if v := s.oneValue(o, compact); q.n == 1 && len(v.bytes) > 0 && a.cols[o].Absent == 0 && q.stale == nil {
		return v.appendTo(dst, a.cols[o].Vec, a.places[o].Of(0)), nil
	}
	dst, at := wire.OpenMessage(dst, answerOutputs)
	dst, err := s.appendOutputFields(dst, o, q, a, compact)
	if err != nil {
		return nil, err
	}
	return wire.CloseMessage(dst, at), nil
}

func (s *service) appendOutputFields(dst []byte, o int, q *query, a *answer, compact bool) ([]byte, error) {
	out, name, n := &s.outputs[o], "", q.n
	if !compact {
		name = out.Name
	}
	col, places := a.cols[o], a.places[o]
	dst, at := wire.OpenMessage(dst, outputColumn)
	dst, err := wire.AppendColumn(dst, name, col.Vec, places, n)
	if err != nil {
		return nil, err
	}
	dst = wire.CloseMessage(dst, at)
	if !compact {
		dst = protowire.AppendString(protowire.AppendTag(dst, outputType, protowire.BytesType), s.types[o])
	}
	if q.stale != nil && q.stale[o] {
		dst = appendStatuses(dst, outputStatuses, allStale, make(wire.RowMap, n), n)
		return appendStatuses(dst, outputReasons, col.Status, places, n), nil
	}
	if compact && col.Absent == 0 {
		return dst, nil
	}
	dst = appendStatuses(dst, outputStatuses, col.Status, places, n)
	if defaulted(col, places, n) {
		dst = appendStatuses(dst, outputReasons, col.Reason, places, n)
	}
	return dst, nil
}

// appendStatuses appends packed statuses. Their numbers are the same in the kernel and in the
// contract, and each fits into one byte.
func appendStatuses(dst []byte, field protowire.Number, list []kernel.Status, places wire.RowMap, n int) []byte {
	dst = protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.BytesType), uint64(n))
	for i := range n {
		dst = append(dst, byte(list[places.Of(i)]))
	}
	return dst
}

// allStale is the statuses of an output in which every row has the first one.
var allStale = []kernel.Status{statusStale}

// defaulted reports whether any row shows a default, so that the reasons have to be sent.
func defaulted(col *kernel.FeatureColumn, places wire.RowMap, n int) bool {
	if col.Absent == 0 {
		return false
	}
	for i := range n {
		if col.Status[places.Of(i)] == kernel.Defaulted {
			return true
		}
	}
	return false
}

// appendJSON appends an answer to dst as a GetFeaturesResponse in protobuf's JSON format.
func (s *service) appendJSON(dst []byte, q *query, a *answer, how encoding) ([]byte, error) {
	dst = append(dst, '{')
	if !how.compact {
		dst = append(wire.AppendJSONString(append(dst, `"fingerprint":`...), s.fingerprint), ',')
	}
	if a.asOf != 0 {
		dst = append(strconv.AppendInt(append(dst, `"asOfMicros":"`...), int64(a.asOf), 10), `",`...)
	}
	dst = strconv.AppendInt(append(dst, `"rows":`...), int64(q.n), 10)
	none := len(dst)
	dst = append(dst, `,"outputs":[`...)
	first := len(dst)
	dst, err := s.appendOutputs(dst, q, a, how)
	if err != nil {
		return nil, err
	}
	if len(dst) > first {
		dst[len(dst)-1] = ']' // in place of a comma
	} else {
		dst = dst[:none]
	}
	dst = s.appendFreshnessJSON(dst, q)
	if how.states && len(a.views) > 0 {
		before := `,"states":[`
		for _, v := range a.views {
			if dst, err = (protojson.MarshalOptions{}).MarshalAppend(append(dst, before...), v.state()); err != nil {
				return nil, err
			}
			before = ","
		}
		dst = append(dst, ']')
	}
	return append(dst, '}'), nil
}

// appendOutputJSON appends an Output and a comma.
func (s *service) appendOutputJSON(dst []byte, o int, q *query, a *answer, compact bool) ([]byte, error) {
	name, n := s.outputs[o].Name, q.n
	if compact {
		name = ""
	}
	col, places := a.cols[o], a.places[o]
	dst, err := wire.AppendColumnJSON(append(dst, `{"column":`...), name, col.Vec, places, n)
	if err != nil {
		return nil, err
	}
	if !compact {
		dst = wire.AppendJSONString(append(dst, `,"type":`...), s.types[o])
	}
	if q.stale != nil && q.stale[o] {
		dst = appendStatusesJSON(append(dst, `,"statuses":[`...), allStale, make(wire.RowMap, n), n)
		dst = appendStatusesJSON(append(dst, `,"reasons":[`...), col.Status, places, n)
	} else if !compact || col.Absent > 0 {
		dst = appendStatusesJSON(append(dst, `,"statuses":[`...), col.Status, places, n)
		if defaulted(col, places, n) {
			dst = appendStatusesJSON(append(dst, `,"reasons":[`...), col.Reason, places, n)
		}
	}
	return append(dst, '}', ','), nil
}

// statusTexts are the contract's names of the statuses, in quotes.
var statusTexts = func() (texts [statusCount]string) {
	for s := range texts {
		texts[s] = `"` + unskewv1.Status(s).String() + `"`
	}
	return texts
}()

func appendStatusesJSON(dst []byte, list []kernel.Status, places wire.RowMap, n int) []byte {
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, statusTexts[list[places.Of(i)]]...)
	}
	return append(dst, ']')
}

// statusName is the name of a status in metrics and row-shaped answers.
func statusName(s kernel.Status) string {
	if s == statusStale {
		return "STALE"
	}
	return s.String()
}
