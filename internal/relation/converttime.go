package relation

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

const microsPerDay = int64(plan.Day)

func toTimestamp(s *stored) (converter, bool) {
	switch {
	case s.kind == storedDate && s.physical == format.Int32:
		return func(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
			for i, day := range values.Int32()[from : from+n] {
				v.Int[to+i] = coarser(int64(day), microsPerDay)
			}
		}, true
	case s.kind == storedInt96:
		return convertInt96, true
	case s.kind != storedTimestamp || s.physical != format.Int64:
		return nil, false
	case s.perMicro == 1:
		return func(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
			copy(v.Int[to:to+n], values.Int64()[from:from+n])
		}, true
	case s.perMicro < 0:
		return func(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
			for i, t := range values.Int64()[from : from+n] {
				v.Int[to+i] = coarser(t, -s.perMicro)
			}
		}, true
	}
	return func(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
		for i, t := range values.Int64()[from : from+n] {
			v.Int[to+i] = finer(t, s.perMicro)
		}
	}, true
}

// coarser converts t from a unit of so many µs. Overflow, and DuckDB's infinities, become
// Never or Always.
func coarser(t, micros int64) int64 {
	switch {
	case t > math.MaxInt64/micros:
		return int64(plan.Never)
	case t < math.MinInt64/micros:
		return int64(plan.Always)
	}
	return t * micros
}

// finer converts t from a unit of which perMicro make a µs, rounding down: 1 ns before the
// epoch is -1 µs. DuckDB's infinities stay infinite.
func finer(t, perMicro int64) int64 {
	switch t {
	case math.MaxInt64:
		return int64(plan.Never)
	case -math.MaxInt64:
		return int64(plan.Always)
	}
	return plan.FloorDiv(t, perMicro)
}

// julianEpoch is the Julian day of 1970-01-01.
const julianEpoch = 2_440_588

// convertInt96 reads nanoseconds of the day and a Julian day.
func convertInt96(v *vector.Vector, to int, values *encoding.Values, from, n int, _ func(int, string, string)) {
	for i, x := range values.Int96()[from : from+n] {
		nanos := int64(uint64(x[1])<<32 | uint64(x[0]))
		micros := coarser(int64(int32(x[2]))-julianEpoch, microsPerDay)
		if micros != int64(plan.Never) && micros != int64(plan.Always) {
			micros += plan.FloorDiv(nanos, 1000)
		}
		v.Int[to+i] = micros
	}
}

func toDuration(s *stored) (converter, bool) {
	switch {
	case s.kind == storedInterval && s.physical == format.FixedLenByteArray:
		return convertInterval, true
	case s.kind == storedDuration && s.physical == format.Int64:
		return func(v *vector.Vector, to int, values *encoding.Values, from, n int, bad func(int, string, string)) {
			for i, d := range values.Int64()[from : from+n] {
				if d > math.MaxInt64/s.perNano || d < math.MinInt64/s.perNano {
					bad(to+i, strconv.FormatInt(d, 10), "it does not fit in a duration, which is at most 292 years")
					continue
				}
				v.Int[to+i] = d * s.perNano
			}
		}, true
	}
	return nil, false
}

const (
	monthsInInterval = "an interval with months has no fixed length, so it is not a duration"
	longInterval     = "it does not fit in a duration, which is at most 106751 days"
)

// convertInterval reads months, days and milliseconds, each unsigned.
func convertInterval(v *vector.Vector, to int, values *encoding.Values, from, n int, bad func(int, string, string)) {
	data, size := values.FixedLenByteArray()
	for i := range n {
		b := data[(from+i)*size:][:12]
		months, days, millis := binary.LittleEndian.Uint32(b), int64(binary.LittleEndian.Uint32(b[4:])), int64(binary.LittleEndian.Uint32(b[8:]))
		text := fmt.Sprintf("%d months %d days %d ms", months, days, millis)
		switch {
		case months != 0:
			bad(to+i, text, monthsInInterval)
		case days > 106_000: // plus up to 49 days of milliseconds
			bad(to+i, text, longInterval)
		default:
			v.Int[to+i] = days*int64(24*time.Hour) + millis*int64(time.Millisecond)
		}
	}
}
