package records

import (
	"fmt"
	"unsafe"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/text"
	"github.com/unskew/unskew/internal/vector"
)

// column fills a vector with cells.
type column struct {
	kind plan.Kind
	vec  *vector.Vector
	null string // what a null is written as in CSV
	raw  bool   // a string that takes any value of JSON, as it is written
	// An int of JSON may be a string.
	quotedInts bool

	last  int    // the last row that has a value, a null or an error
	text  string // of the last cell, for errors
	bytes []byte // what the values of bytes lie in
}

// begin makes room for n rows.
func (c *column) begin(n int) {
	c.vec.Resize(n)
	c.last = -1
	c.bytes = c.bytes[:0]
}

// finish truncates the vector to n rows.
func (c *column) finish(n int) {
	v := c.vec
	v.N = n
	v.Bits = v.Bits[:min(len(v.Bits), vector.Words(n))]
	v.Int, v.Double, v.Str = v.Int[:min(len(v.Int), n)], v.Double[:min(len(v.Double), n)], v.Str[:min(len(v.Str), n)]
	v.Null, v.Err = v.Null[:min(len(v.Null), vector.Words(n))], v.Err[:min(len(v.Err), vector.Words(n))]
}

// set stores a cell in row i. A string shares the memory of p.
func (c *column) set(i int, p []byte, from *cell) error {
	raw := p[from.from:from.to]
	c.text = stringOf(raw)
	switch from.form {
	case plainText:
		if c.text == c.null {
			c.vec.SetNull(i)
			return nil
		}
	case quotedText:
		if from.escaped {
			c.text = stringOf(undouble(raw, from.quote))
		}
		if c.text == c.null && c.kind != plan.String && c.kind != plan.Bytes {
			c.vec.SetNull(i)
			return nil
		}
	default:
		if done, err := c.setJSON(i, raw, from); done || err != nil {
			return err
		}
	}
	return c.setText(i, c.text)
}

// setText parses a text and stores its value.
func (c *column) setText(i int, s string) (err error) {
	v := c.vec
	switch c.kind {
	case plan.Bool:
		var b bool
		if b, err = text.Bool(s); err == nil {
			v.Bits.Put(i, b)
		}
	case plan.Int:
		v.Int[i], err = text.Int(s)
	case plan.Double:
		v.Double[i], err = text.Double(s)
	case plan.String:
		v.Str[i], err = s, text.String(s)
	case plan.Bytes:
		at := len(c.bytes)
		if c.bytes, err = text.Bytes(c.bytes, s); err == nil {
			v.Str[i] = stringOf(c.bytes[at:])
		}
	case plan.Timestamp:
		var t plan.EventTime
		t, err = plan.ParseTime(s)
		v.Int[i] = int64(t)
	case plan.Duration:
		d, parseErr := text.Duration(s)
		v.Int[i], err = int64(d), parseErr
	default:
		err = fmt.Errorf("text is not %s", plan.T(c.kind).WithArticle())
	}
	return err
}

// setJSON stores a JSON cell whose value is not simply the value of its text, and rejects one
// of another type. It reports false for the others, whose text the caller parses.
func (c *column) setJSON(i int, raw []byte, from *cell) (done bool, err error) {
	switch from.form {
	case jsonNull:
		c.vec.SetNull(i)
		return true, nil
	case jsonString:
		return c.setJSONString(i, raw, from)
	}
	if c.raw {
		return false, nil
	}
	switch from.form {
	case jsonTrue, jsonFalse:
		if c.kind == plan.Bool {
			c.vec.Bits.Put(i, from.form == jsonTrue)
			return true, nil
		}
	case jsonNumber:
		if c.kind == plan.Int || c.kind == plan.Double {
			return false, nil
		}
	case jsonObject:
		return false, fmt.Errorf("an object is not %s", plan.T(c.kind).WithArticle())
	case jsonArray:
		return false, fmt.Errorf("an array is not %s", plan.T(c.kind).WithArticle())
	}
	return false, fmt.Errorf("%s is not %s", shorten(c.text), plan.T(c.kind).WithArticle())
}

func (c *column) setJSONString(i int, raw []byte, from *cell) (done bool, err error) {
	if from.escaped {
		if raw, err = unescape(raw); err != nil {
			return false, err
		}
		c.text = stringOf(raw)
	}
	switch c.kind {
	case plan.String, plan.Bytes, plan.Timestamp, plan.Duration:
		return false, nil
	case plan.Int:
		if c.quotedInts {
			return false, nil
		}
	case plan.Double:
		if f, ok := text.DoubleWord(c.text); ok {
			c.vec.Double[i] = f
			return true, nil
		}
	}
	return false, fmt.Errorf("the string %s is not %s", text.Quote(c.text), plan.T(c.kind).WithArticle())
}

// stringOf returns b as a string that shares its memory.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
