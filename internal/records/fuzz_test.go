package records

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
)

// FuzzCSV: no text panics, the rows do not depend on how the text arrives, and text that
// encoding/csv reads as rows of one width has the same cells here.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"i,s\n1,a\n", "\ufeffs\r\n\"a\"\"b\r\nc\"\r\n", "i,s\n1\n\n2,x,y\n", "s\n\"a", "i;s\n1;'a'\n", "i,i\n", "s,i\n\"a\"b,1\nx\"y,2\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o := Options{Format: CSV, Fields: allFields, Pushed: true}
		agree(t, text, o)
		compareWithLibrary(t, text)
	})
}

func agree(t *testing.T, text []byte, o Options) {
	t.Helper()
	whole, wholeErr := readAll(bytes.NewReader(text), o)
	parts, partsErr := readAll(iotest.OneByteReader(bytes.NewReader(text)), o)
	if !slices.Equal(whole, parts) || fmt.Sprint(wholeErr) != fmt.Sprint(partsErr) {
		t.Errorf("%q:\n%q, %v\n%q, %v", text, whole, wholeErr, parts, partsErr)
	}
	var in Inference
	if err := in.Read(bytes.NewReader(text), o.Format, plan.CSV{}); err == nil {
		in.Columns()
	}
}

// compareWithLibrary reads columns of strings. The library turns every CRLF into a line end,
// also within quotes, and reads a lone carriage return as text.
func compareWithLibrary(t *testing.T, text []byte) {
	if bytes.ContainsRune(text, '\r') {
		return
	}
	lib := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, utf8Mark)))
	records, err := lib.ReadAll()
	if err != nil || len(records) == 0 {
		return
	}
	var fields []plan.Field
	for _, name := range records[0] {
		fields = append(fields, field(name, plan.String))
	}
	r := NewReader(bytes.NewReader(text), Options{Format: CSV, Fields: fields})
	for next := 1; ; {
		rows, err := r.Next()
		if errors.Is(err, io.EOF) {
			if next != len(records) {
				t.Errorf("%q: %d rows, the library has %d", text, next-1, len(records)-1)
			}
			return
		}
		if err != nil {
			return // names that are alike
		}
		if len(rows.Bad) > 0 {
			return // no UTF-8, or the header again
		}
		for i := range rows.N {
			for c, col := range rows.Cols {
				if s := records[next][c]; col.Valid(i) && col.Str[i] != s || !col.Valid(i) && s != "" {
					t.Fatalf("%q: row %d is %q, the library says %q", text, next, col.Value(i), s)
				}
			}
			next++
		}
	}
}

// FuzzJSON: no text panics, the rows do not depend on how the text arrives, and text that
// encoding/json rejects is rejected.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"i": 1, "s": "a\u00e9\n"}`, "[{\"i\": 1},\n{}]", `{"i": -1.5e+3, "x": [1, {"a": null}], "b": true}`, `{"s": "\ud83d\ude00", "s": 1}`, "{\"i\": 01}\n{}", "[1, \"x\", [], {}", "\ufeff[]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		agree(t, text, Options{Format: JSON, Fields: allFields, Pushed: true})
		if bytes.ContainsAny(text, "\n") || !bytes.HasPrefix(text, []byte("{")) || deepest(text) > maxDepth {
			return
		}
		rows, err := readAll(bytes.NewReader(text), Options{Format: JSON, Fields: allFields, Pushed: true})
		if err != nil || len(rows) != 1 {
			t.Fatalf("%q: %q, %v", text, rows, err)
		}
		malformed := strings.Contains(rows[0], "malformed JSON")
		if valid := json.Valid(text); valid == malformed {
			t.Errorf("%q: %s, but valid is %v", text, rows[0], valid)
		}
	})
}

// FuzzMembers: what encoding/json reads as an object has the same names and values here, and
// everything else is rejected. Duplicate names are an error here.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{`{"rows": [{"a": 1}], "x" : "\u00e9"}`, "{}", " {\n\"a\":1\n} ", `{"a": 1, "a": 2}`, `{"a": 1,}`, `{"a": 1} x`, `[]`, `{"a"`, `{"a": tru`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if deepest(text) > maxDepth || !utf8.Valid(text) {
			return
		}
		got := map[string]string{}
		err := Members(text, func(name string, value []byte) error {
			got[name] = string(value)
			return nil
		})
		var want map[string]json.RawMessage
		libErr := json.Unmarshal(text, &want)
		if bytes.Equal(bytes.TrimSpace(text), []byte("null")) {
			libErr = errors.New("no object")
		}
		if err != nil {
			if libErr == nil && !strings.Contains(err.Error(), "occurs twice") && !errors.Is(err, errSurrogate) && !strings.Contains(err.Error(), errSurrogate.Error()) {
				t.Errorf("%q: %v, and the library reads it", text, err)
			}
			return
		}
		if libErr != nil || len(got) != len(want) {
			t.Fatalf("%q: %d members, the library says %d and %v", text, len(got), len(want), libErr)
		}
		for name, value := range want {
			if got[name] != string(value) {
				t.Errorf("%q: %q is %q, the library says %q", text, name, got[name], value)
			}
		}
	})
}

func deepest(text []byte) int { return bytes.Count(text, []byte("[")) + bytes.Count(text, []byte("{")) }
