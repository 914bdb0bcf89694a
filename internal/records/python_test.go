package records

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
)

// readPython prints the rows of a CSV and a JSON text as Python's own readers return them, as
// one JSON list of texts each; null is a missing value.
const readPython = `
import csv, io, json, sys
given = json.load(sys.stdin)
rows = list(csv.reader(io.StringIO(given["csv"], newline=""), strict=True))[1:]
print(json.dumps([r for r in rows if r]))
print(json.dumps([[o.get("a"), o.get("b")] for o in map(json.loads, given["json"].splitlines())]))
`

// TestN9_PythonReadsTheSameCells: rows and cells begin and end where Python's readers say.
func TestN9_PythonReadsTheSameCells(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 to compare with")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	parts := []string{"a", "é", "😀", "\"", "\"\"", ",", "\n", "\r\n", "\\", "\\n", "0", " ", "\t", "'", "{", "}", "[", ":", "\u2028", "\u00a0"}
	var asCSV, asJSON strings.Builder
	asCSV.WriteString("a,b\n")
	for range 2000 {
		row := map[string]string{}
		var fields []string
		for _, name := range []string{"a", "b"} {
			var cell strings.Builder
			for range random.IntN(5) {
				cell.WriteString(parts[random.IntN(len(parts))])
			}
			row[name] = cell.String()
			field := cell.String()
			if field == "" || strings.ContainsAny(field, "\",\r\n") || random.IntN(2) == 0 {
				field = quote(field)
			}
			fields = append(fields, field)
		}
		asCSV.WriteString(strings.Join(fields, ",") + []string{"\n", "\r\n"}[random.IntN(2)])
		line, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		asJSON.Write(append(line, '\n'))
	}
	given, err := json.Marshal(map[string]string{"csv": asCSV.String(), "json": asJSON.String()})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", readPython)
	cmd.Stdin = bytes.NewReader(given)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitN(out, []byte("\n"), 3)
	for i, text := range []string{asCSV.String(), asJSON.String()} {
		var want [][]string
		if err := json.Unmarshal(lines[i], &want); err != nil {
			t.Fatal(err)
		}
		compareCells(t, text, Format(i+1), want)
	}
}

func compareCells(t *testing.T, text string, f Format, want [][]string) {
	t.Helper()
	r := NewReader(strings.NewReader(text), Options{Format: f, Fields: []plan.Field{field("a", plan.String), field("b", plan.String)}})
	next := 0
	for {
		rows, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(rows.Bad) > 0 {
			t.Fatal(rows, err)
		}
		for i := range rows.N {
			for c, col := range rows.Cols {
				if !col.Valid(i) || col.Str[i] != want[next][c] {
					t.Fatalf("format %d, line %d: %v, Python says %q", f, rows.Lines[i], col.Value(i), want[next][c])
				}
			}
			next++
		}
	}
	if next != len(want) || next != 2000 {
		t.Errorf("format %d: %d rows, Python has %d", f, next, len(want))
	}
}
