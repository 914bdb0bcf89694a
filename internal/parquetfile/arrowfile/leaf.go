package arrowfile

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/parquet-go/parquet-go"
)

// leafNodes are the nodes of types without parameters.
var leafNodes = map[arrow.Type]func() parquet.Node{
	arrow.BOOL:         func() parquet.Node { return parquet.Leaf(parquet.BooleanType) },
	arrow.INT8:         func() parquet.Node { return parquet.Int(8) },
	arrow.INT16:        func() parquet.Node { return parquet.Int(16) },
	arrow.INT32:        func() parquet.Node { return parquet.Leaf(parquet.Int32Type) },
	arrow.INT64:        func() parquet.Node { return parquet.Leaf(parquet.Int64Type) },
	arrow.UINT8:        func() parquet.Node { return parquet.Uint(8) },
	arrow.UINT16:       func() parquet.Node { return parquet.Uint(16) },
	arrow.UINT32:       func() parquet.Node { return parquet.Uint(32) },
	arrow.UINT64:       func() parquet.Node { return parquet.Uint(64) },
	arrow.FLOAT32:      func() parquet.Node { return parquet.Leaf(parquet.FloatType) },
	arrow.FLOAT64:      func() parquet.Node { return parquet.Leaf(parquet.DoubleType) },
	arrow.STRING:       parquet.String,
	arrow.LARGE_STRING: parquet.String,
	arrow.BINARY:       func() parquet.Node { return parquet.Leaf(parquet.ByteArrayType) },
	arrow.LARGE_BINARY: func() parquet.Node { return parquet.Leaf(parquet.ByteArrayType) },
	arrow.DATE32:       parquet.Date,
	arrow.DURATION:     func() parquet.Node { return parquet.Leaf(parquet.Int64Type) }, // the Arrow schema has the unit
}

// leafNode returns the node of a type that is not nested.
func leafNode(t arrow.DataType) (parquet.Node, error) {
	if n, ok := leafNodes[t.ID()]; ok {
		return n(), nil
	}
	switch t := t.(type) {
	case *arrow.FixedSizeBinaryType:
		return parquet.Leaf(parquet.FixedLenByteArrayType(t.ByteWidth)), nil
	case *arrow.Decimal128Type:
		return parquet.Decimal(int(t.Scale), int(t.Precision), decimalType(int(t.Precision))), nil
	case *arrow.TimestampType:
		return parquet.TimestampAdjusted(timeUnit(t.Unit), t.TimeZone != ""), nil
	case *arrow.Time32Type:
		return parquet.TimeAdjusted(parquet.Millisecond, false), nil
	case *arrow.Time64Type:
		return parquet.TimeAdjusted(timeUnit(t.Unit), false), nil
	}
	return nil, &TypeError{Type: t}
}

// Largest precisions of decimals that fit into 32-bit and 64-bit integers.
const digits32, digits64 = 9, 18

// decimalType returns the smallest physical type for decimals of the given precision.
func decimalType(precision int) parquet.Type {
	switch {
	case precision <= digits32:
		return parquet.Int32Type
	case precision <= digits64:
		return parquet.Int64Type
	}
	return parquet.FixedLenByteArrayType(16)
}

// timeUnit returns the unit in which times are stored: Parquet has no seconds.
func timeUnit(u arrow.TimeUnit) parquet.TimeUnit {
	switch u {
	case arrow.Microsecond:
		return parquet.Microsecond
	case arrow.Nanosecond:
		return parquet.Nanosecond
	}
	return parquet.Millisecond
}
