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
	compact, states bool
	most            int // in bytes
}

func (e encoding) tooLong() error {
	return tooMuch("the answer has more than %d bytes; ask for fewer rows or features at a time", e.most)
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
	for _, o := range q.outputs {
		var at int
		var err error
		dst, at = wire.OpenMessage(dst, answerOutputs)
		if dst, err = s.appendOutput(dst, o, q, a, how.compact); err != nil {
			return nil, err
		}
		if dst = wire.CloseMessage(dst, at); len(dst) > how.most {
			return nil, how.tooLong()
		}
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

func (s *service) appendOutput(dst []byte, o int, q *query, a *answer, compact bool) ([]byte, error) {
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
	before := `,"outputs":[`
	for _, o := range q.outputs {
		var err error
		if dst, err = s.appendOutputJSON(append(dst, before...), o, q, a, how.compact); err != nil {
			return nil, err
		}
		if len(dst) > how.most {
			return nil, how.tooLong()
		}
		before = ","
	}
	if before == "," {
		dst = append(dst, ']')
	}
	dst = s.appendFreshnessJSON(dst, q)
	if how.states && len(a.views) > 0 {
		before = `,"states":[`
		for _, v := range a.views {
			var err error
			if dst, err = (protojson.MarshalOptions{}).MarshalAppend(append(dst, before...), v.state()); err != nil {
				return nil, err
			}
			before = ","
		}
		dst = append(dst, ']')
	}
	return append(dst, '}'), nil
}

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
	return append(dst, '}'), nil
}

// statusTexts are the contract's names of the statuses, in quotes.
var statusTexts = func() (texts [statusStale + 1]string) {
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
