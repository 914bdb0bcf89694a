package server

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/internal/wire"
)

// oneValue is an Output as appendOutput writes it for one row whose value is zero and PRESENT. Other
// numbers are written by changing it: of a Double the bytes of the value, and of an integer, which has
// 1 to 10 bytes, also the lengths of the messages around it. bytes is empty for an output that cannot
// be written like this.
type oneValue struct {
	bytes []byte
	at    int // of the value
	lane  plan.Kind
}

// The places of lengths in the bytes of a oneValue: of the Output and of its Column at the beginning,
// and of the member and of its packed values before the value. Each is one byte.
const (
	lengthOfOutput = 1
	lengthOfColumn = 3
	lengthOfMember = -3
	lengthOfValues = -1
	longestLength  = 1<<7 - 1
)

// noValue writes nothing.
var noValue oneValue

func (s *service) oneValue(o int, compact bool) *oneValue {
	list := s.full
	if compact {
		list = s.short
	}
	if o < len(list) {
		return &list[o]
	}
	return &noValue // they are being made
}

// newOneValue encodes output o.
func (s *service) newOneValue(o int, compact bool) (v oneValue) {
	t := s.outputs[o].Type
	if composite(t) {
		return v
	}
	v.lane = vector.Lane(t)
	size, most := 1, binary.MaxVarintLen64
	switch v.lane {
	case plan.Int:
	case plan.Double:
		size, most = 8, 8
	default:
		return v
	}
	a := &answer{cols: make([]*kernel.FeatureColumn, o+1), places: make([]wire.RowMap, o+1)}
	a.cols[o] = &kernel.FeatureColumn{Vec: vector.New(t, 1), Status: []kernel.Status{kernel.Present}}
	b, err := s.appendOutput(nil, o, &query{n: 1}, a, compact)
	if err != nil || len(b) < 8 || len(b)+most > longestLength {
		return v
	}
	v.at = lengthOfColumn + 1 + int(b[lengthOfColumn]) - size
	if int(b[v.at+lengthOfValues]) == size && int(b[v.at+lengthOfMember]) == size+2 {
		v.bytes = b
	}
	return v
}

// appendTo appends the Output with the value of a row of col.
func (v *oneValue) appendTo(dst []byte, col *vector.Vector, row int) []byte {
	begin := len(dst)
	dst = append(dst, v.bytes...)
	b := dst[begin:]
	if v.lane == plan.Double {
		binary.LittleEndian.PutUint64(b[v.at:], math.Float64bits(col.Double[row]))
		return dst
	}
	x := uint64(col.Int[row])
	if x < 1<<7 {
		b[v.at] = byte(x)
		return dst
	}
	more := byte(protowire.SizeVarint(x) - 1)
	b[lengthOfOutput] += more
	b[lengthOfColumn] += more
	b[v.at+lengthOfMember] += more
	b[v.at+lengthOfValues] += more
	dst = protowire.AppendVarint(dst[:begin+v.at], x)
	return append(dst, v.bytes[v.at+1:]...)
}
