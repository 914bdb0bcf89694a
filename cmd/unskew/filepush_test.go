package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/text"
	"github.com/unskew/unskew/internal/vector"
)

// meaning is the result of reading a text: a value, or that it is bad.
type meaning struct {
	bad   bool
	value plan.Value
}

func (m meaning) String() string {
	if m.bad {
		return "no value"
	}
	return m.value.String()
}

func (m meaning) equal(o meaning) bool { return m.bad == o.bad && (m.bad || m.value.Equal(o.value)) }

// TestN9_FileIsPush: a text means the same in a CSV or JSON file, in a spine, in a push, in
// a flag and in a feature test.
func TestN9_FileIsPush(t *testing.T) {
	dir := t.TempDir()
	r, err := relation.Open(relation.Options{BaseDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	readers := &textReaders{relation: r, dir: dir}
	for _, kind := range plan.ColumnKinds {
		t.Run(kind.String(), func(t *testing.T) { readers.agree(t, kind) })
	}
}

func (readers *textReaders) agree(t *testing.T, kind plan.Kind) {
	values := 0
	rapid.Check(t, func(t *rapid.T) {
		s := textOf(kind).Draw(t, "text")
		want := asFlag(s, kind)
		if !want.bad {
			values++
		}
		for name, read := range map[string]func(string, plan.Kind) (meaning, bool, error){
			"CSV file": readers.csvFile, "CSV spine": readers.csvSpine, "CSV push": readers.csvPush,
			"JSON file": readers.jsonFile, "JSON push": readers.jsonPush, "test": readers.test,
			"JSON file, in an object": readers.jsonFieldFile, "JSON push, in an object": readers.jsonFieldPush,
		} {
			got, can, err := read(s, kind)
			if err != nil {
				t.Fatalf("%s: %q as %v: %v", name, s, kind, err)
			}
			if can && !got.equal(want) {
				t.Errorf("%q as %v: %v in a %s, %v as a flag", s, kind, got, name, want)
			}
		}
	})
	if values == 0 && !testing.Short() { // few draws may have none
		t.Errorf("no text of a %v was drawn", kind)
	}
}

// textOf draws texts, mostly of forms that readers treat differently.
func textOf(k plan.Kind) *rapid.Generator[string] {
	edges := map[plan.Kind][]string{
		plan.Bool:   {"true", "True", "TRUE", "t", "f", "1", "0", "yes", "on", "falſe"},
		plan.Int:    {"0", "-0", "007", "+5", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "9007199254740993", "1e3", "1.0", "1.5", "1e400", "1_000", "1,000", "0x10"},
		plan.Double: {"0.1", "-0.0", "1e308", "1e309", "-1e-400", "NaN", "nan", "-nan", "Infinity", "-inf", "+Inf", "0x1p-2", ".5", "5.", "9007199254740993", "1e", "1,5", "1_0.0"},
		plan.String: {"", "null", "NA", "true", "12", "a,b", "a\"b", "line\nend", "\r\n", "\u00a0", "caf\xe9", "\ufeff", "é"},
		plan.Bytes:  {"", "AP8=", "AP8", "AP_=", "AP8=\n", "====", "a"},
		plan.Timestamp: {"2025-01-01T00:00:00+05:30", "2025-01-01T00:00:00-0800", "2025-01-01 10:00:00+02", "2025-01-01 10:00:00 UTC", "2025-01-01T10:00Z", "2025-01-01", "2025-02-30",
			"1969-12-31T23:59:59.9999999Z", "2025-01-01T00:00:00,5", "2025-01-01 10:00:00 PM", "0000-01-01", "9999-12-31T23:59:59-01:00", "infinity", "1735689600", "2025-01-01T24:00:00Z"},
		plan.Duration: {"1h30m", "-2.5s", "0", "1d", "3", "2562048h", "1.0000000001s", "00:01:00", "1µs"},
	}
	var all []string
	for _, list := range edges {
		all = append(all, list...)
	}
	made := map[plan.Kind]*rapid.Generator[string]{
		plan.Int:       rapid.Custom(func(t *rapid.T) string { return fmt.Sprint(rapid.Int64().Draw(t, "int")) }),
		plan.Double:    rapid.Custom(func(t *rapid.T) string { return fmt.Sprint(rapid.Float64().Draw(t, "double")) }),
		plan.Timestamp: rapid.Custom(func(t *rapid.T) string { return drawTime(t) }),
		plan.Duration:  rapid.Custom(func(t *rapid.T) string { return time.Duration(rapid.Int64().Draw(t, "duration")).String() }),
		plan.String:    rapid.String(),
	}
	gens := []*rapid.Generator[string]{rapid.SampledFrom(edges[k]), rapid.SampledFrom(edges[k]), rapid.SampledFrom(all)}
	if g := made[k]; g != nil {
		gens = append(gens, g)
	}
	return rapid.Custom(func(t *rapid.T) string {
		s := rapid.OneOf(gens...).Draw(t, "whole")
		around := rapid.SampledFrom([]string{"", "", "", "", " ", "\t", "\u2003", "0", "\x00", "'", "\""})
		return around.Draw(t, "before") + s + around.Draw(t, "behind")
	})
}

func drawTime(t *rapid.T) string {
	at := time.Unix(rapid.Int64Range(int64(plan.MinTime)/1e6, int64(plan.MaxTime)/1e6).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanos"))
	at = at.In(time.FixedZone("", rapid.IntRange(-14*60, 14*60).Draw(t, "offset")*60))
	return at.Format(rapid.SampledFrom([]string{time.RFC3339Nano, "2006-01-02 15:04:05.999999-0700", "2006-01-02 15:04:05", time.DateOnly, "2006-01-02T15:04Z07:00"}).Draw(t, "layout"))
}

func asFlag(s string, k plan.Kind) meaning {
	v, err := text.Parse(s, k)
	return meaning{err != nil, v}
}

// textReaders write a text in the form of a file, push, flag or test and read it. If a format
// cannot express the text, they say so.
type textReaders struct {
	relation *relation.Reader
	dir      string
}

func fieldOf(k plan.Kind) plan.Field { return plan.Field{Name: "x", Type: plan.T(k)} }

// csvText is a file with the text in quotes, in which an empty one is null for some types.
func csvText(s string, k plan.Kind) (string, bool) {
	return "y,x\n,\"" + strings.ReplaceAll(s, `"`, `""`) + "\"\n", s != "" || k == plan.String || k == plan.Bytes
}

// jsonText is a file with the text as JSON writes a value of the type.
func jsonText(s string, k plan.Kind) (string, bool) {
	_, word := text.DoubleWord(s)
	switch {
	case k == plan.Bool:
		return fmt.Sprintf("{\"x\": %s}\n", s), s == "true" || s == "false"
	case k == plan.Int, k == plan.Double && !word:
		number := json.Valid([]byte(s)) && text.IsNumber(s)
		return fmt.Sprintf("{\"x\": %s}\n", s), number
	}
	quoted, err := json.Marshal(s)
	return fmt.Sprintf("{\"x\": %s}\n", quoted), err == nil && utf8.ValidString(s)
}

// inObject is where the value is in an object.
var inObject = map[string][]string{"x": {"outer", "inner.with dots", "X"}}

// objectText is jsonText with the value in an object.
func objectText(s string, k plan.Kind) (string, bool) {
	content, can := jsonText(s, k)
	return `{"outer": {"inner.with dots": ` + strings.ReplaceAll(strings.TrimSuffix(content, "\n"), `{"x"`, `{"X"`) + "}}\n", can
}

func (r *textReaders) scan(file, content string, k plan.Kind, keepBad bool, paths map[string][]string) (m meaning, err error) {
	if err := os.WriteFile(filepath.Join(r.dir, file), []byte(content), 0o600); err != nil {
		return m, err
	}
	rows := 0
	rel := relation.Relation{Owner: "source s", From: file, KeepBad: keepBad, Paths: paths}
	err = r.relation.Scan(context.Background(), rel, []plan.Field{fieldOf(k)}, func(b *relation.Batch) error {
		rows += b.N
		m = cellOf(b.Cols[0])
		return nil
	})
	if err == nil && rows != 1 {
		err = fmt.Errorf("%d rows", rows)
	}
	return m, err
}

func cellOf(v *vector.Vector) meaning {
	if v.IsErr(0) {
		return meaning{bad: true}
	}
	x := v.Value(0)
	if x.Kind() == plan.String {
		x = plan.StringValue(strings.Clone(x.Str()))
	}
	return meaning{value: x}
}

func (r *textReaders) csvFile(s string, k plan.Kind) (meaning, bool, error) {
	content, can := csvText(s, k)
	m, err := r.scan("a.csv", content, k, true, nil)
	return m, can, err
}

// csvSpine reads a spine, where a bad cell is an error.
func (r *textReaders) csvSpine(s string, k plan.Kind) (meaning, bool, error) {
	content, can := csvText(s, k)
	m, err := r.scan("spine.csv", content, k, false, nil)
	if err != nil && strings.Contains(err.Error(), "line 2 of spine.csv") {
		return meaning{bad: true}, can, nil
	}
	return m, can, err
}

func (r *textReaders) jsonFile(s string, k plan.Kind) (meaning, bool, error) {
	content, can := jsonText(s, k)
	if !can {
		return meaning{}, false, nil
	}
	m, err := r.scan("a.jsonl", content, k, true, nil)
	return m, can, err
}

// push reads what the command pushes.
func (r *textReaders) push(format, content string, k plan.Kind, paths map[string][]string) (m meaning, err error) {
	src := &plan.Source{Name: "s", EventTime: "t", Paths: paths, Columns: []plan.SourceColumn{
		{Field: plan.Field{Name: "t", Type: plan.T(plan.Timestamp)}}, {Field: plan.Field{Name: "y", Type: plan.T(plan.String)}}, {Field: fieldOf(k)}}}
	in, err := ingest.NewSource(src)
	if err != nil {
		return m, err
	}
	e := &events{name: "standard input", format: format, ReadCloser: io.NopCloser(strings.NewReader(content))}
	rows := 0
	err = e.readText(src, in, func(b *eventRows) error {
		rows += b.N
		m = cellOf(b.Cols[2])
		if m.bad != (len(b.bad) == 1) {
			return errors.New("a row is rejected without a bad cell, or accepted with one")
		}
		return nil
	})
	if err == nil && rows != 1 {
		err = fmt.Errorf("%d rows", rows)
	}
	return m, err
}

func (r *textReaders) csvPush(s string, k plan.Kind) (meaning, bool, error) {
	content, can := csvText(s, k)
	m, err := r.push("csv", content, k, nil)
	return m, can, err
}

func (r *textReaders) jsonPush(s string, k plan.Kind) (meaning, bool, error) {
	content, can := jsonText(s, k)
	if !can {
		return meaning{}, false, nil
	}
	m, err := r.push("json", content, k, nil)
	return m, can, err
}

func (r *textReaders) jsonFieldFile(s string, k plan.Kind) (meaning, bool, error) {
	content, can := objectText(s, k)
	if !can {
		return meaning{}, false, nil
	}
	m, err := r.scan("inside.jsonl", content, k, true, inObject)
	return m, can, err
}

func (r *textReaders) jsonFieldPush(s string, k plan.Kind) (meaning, bool, error) {
	content, can := objectText(s, k)
	if !can {
		return meaning{}, false, nil
	}
	m, err := r.push("json", content, k, inObject)
	return m, can, err
}

const oneEvent = `kind: Entity
name: e
keys: [{name: k, type: int}]
---
kind: Source
name: s
stream: true
event_time: t
columns: {t: {type: timestamp}, k: {type: int}, x: {type: %v}}
---
kind: FeatureView
name: v
entity: e
source: s
features: {n: count()}
---
kind: FeatureTest
view: v
events:
  - {t: 2025-01-01, k: 1, x: %s}
expect:
  - {k: 1, at: 2025-02-01, n: 1}
`

// test reads a feature test. YAML has numbers, bools and infinities of its own, and its
// bytes are the string unless they say !!binary.
func (r *textReaders) test(s string, k plan.Kind) (m meaning, can bool, err error) {
	quoted, err := json.Marshal(s)
	if err != nil || !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\x7f\u2028\u2029\ufeff") {
		return m, false, err
	}
	written := string(quoted)
	switch k {
	case plan.Bool:
		can = s == "true" || s == "false" || s == "True" || s == "TRUE"
		written = s
	case plan.Int, plan.Double:
		can = text.IsNumber(s)
		written = s
	case plan.Bytes:
		can = !strings.ContainsFunc(s, unicode.IsSpace) // YAML trims it
		written = "!!binary " + written
	default:
		can = true
	}
	if !can {
		return m, false, nil
	}
	dir := filepath.Join(r.dir, "project")
	for name, content := range map[string]string{"unskew.yaml": "project: p\n", "features/a.yaml": fmt.Sprintf(oneEvent, k, written)} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			return m, false, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return m, false, err
		}
	}
	p, found, err := featuredefs.Load(dir, featuredefs.Options{})
	if err != nil {
		return m, false, err
	}
	for _, d := range found {
		if d.Rule == "test-event" {
			return meaning{bad: true}, true, nil
		}
	}
	if found.HasErrors() {
		return m, false, fmt.Errorf("%v", found)
	}
	return meaning{value: p.Tests[0].Events[0].Rows[0].Values[2]}, true, nil
}
