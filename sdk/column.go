package sdk

import (
	"slices"
	"time"

	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// Column is a named column of typed values, one for each row of a request.
type Column struct{ wire *unskewv1.Column }

// Bools makes a bool column. It and the other functions keep the given slice.
func Bools(name string, values ...bool) Column {
	return Column{&unskewv1.Column{Name: name, Values: &unskewv1.Column_Bools{Bools: &unskewv1.Bools{Values: values}}}}
}

// Ints makes an int column.
func Ints(name string, values ...int64) Column {
	return Column{&unskewv1.Column{Name: name, Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: values}}}}
}

// Doubles makes a double column.
func Doubles(name string, values ...float64) Column {
	return Column{&unskewv1.Column{Name: name, Values: &unskewv1.Column_Doubles{Doubles: &unskewv1.Doubles{Values: values}}}}
}

// Strings makes a string column; values are UTF-8.
func Strings(name string, values ...string) Column {
	return Column{&unskewv1.Column{Name: name, Values: &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: values}}}}
}

// Bytes makes a bytes column.
func Bytes(name string, values ...[]byte) Column {
	return Column{&unskewv1.Column{Name: name, Values: &unskewv1.Column_Bytes{Bytes: &unskewv1.BytesValues{Values: values}}}}
}

// Times makes a timestamp column; times are floored to microseconds.
func Times(name string, values ...time.Time) Column {
	micros := make([]int64, len(values))
	for i, t := range values {
		micros[i] = t.UnixMicro()
	}
	return Column{&unskewv1.Column{Name: name, Values: &unskewv1.Column_Timestamps{Timestamps: &unskewv1.Timestamps{Micros: micros}}}}
}

// Durations makes a duration column.
func Durations(name string, values ...time.Duration) Column {
	nanos := make([]int64, len(values))
	for i, d := range values {
		nanos[i] = int64(d)
	}
	return Column{&unskewv1.Column{Name: name, Values: &unskewv1.Column_Durations{Durations: &unskewv1.Durations{Nanos: nanos}}}}
}

// FromWire wraps a column in its wire form.
func FromWire(c *unskewv1.Column) Column { return Column{c} }

// Null returns the column with the given rows null, whatever their values.
func (c Column) Null(rows ...int) Column {
	nulls := slices.Clone(c.wire.Nulls)
	for _, r := range rows {
		nulls = append(nulls, uint32(r))
	}
	slices.Sort(nulls)
	return Column{&unskewv1.Column{Name: c.wire.Name, Values: c.wire.Values, Nulls: slices.Compact(nulls)}}
}

func columns(list []Column) []*unskewv1.Column {
	out := make([]*unskewv1.Column, len(list))
	for i, c := range list {
		out[i] = c.wire
	}
	return out
}
