package records

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
)

func field(name string, k plan.Kind) plan.Field { return plan.Field{Name: name, Type: plan.T(k)} }

var allFields = []plan.Field{field("t", plan.Timestamp), field("i", plan.Int), field("d", plan.Double), field("s", plan.String),
	field("b", plan.Bool), field("y", plan.Bytes), field("u", plan.Duration)}

// text reads a whole text. Rows are values by name, without nulls; bad rows are messages.
func readAll(src io.Reader, o Options) ([]string, error) {
	r := NewReader(src, o)
	var out []string
	for {
		rows, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		bad := rows.Bad
		for i := range rows.N {
			var cells []string
			for c, f := range rows.Fields {
				if rows.Cols[c].Valid(i) {
					cells = append(cells, f.Name+"="+rows.Cols[c].Value(i).String())
				}
			}
			for ; len(bad) > 0 && bad[0].Row == i; bad = bad[1:] {
				name := "row"
				for c, col := range rows.Cols {
					if whole := bad[0].Column < 0; (whole || bad[0].Column == c) && !col.IsErr(i) {
						name = "forgotten"
					}
				}
				if bad[0].Column >= 0 && name == "row" {
					name = rows.Fields[bad[0].Column].Name
				}
				cells = append(cells, fmt.Sprintf("bad %s at %d %q: %s", name, bad[0].Line, bad[0].Text, bad[0].Reason))
			}
			out = append(out, fmt.Sprintf("%d: %s", rows.Lines[i], strings.Join(cells, " ")))
		}
	}
}

func check(t *testing.T, text string, o Options, want ...string) {
	t.Helper()
	for name, src := range map[string]io.Reader{"whole": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text)),
		"end with data": iotest.DataErrReader(strings.NewReader(text))} {
		got, err := readAll(src, o)
		if err != nil {
			got = append(got, "error: "+err.Error())
		}
		if !slices.EqualFunc(got, want, func(got, want string) bool {
			parts := strings.Split(want, "…") // anything may stand for …
			for i, part := range parts {
				at := strings.Index(got, part)
				if at < 0 || i == 0 && at > 0 {
					return false
				}
				got = got[at+len(part):]
			}
			return got == "" || len(parts) > 1
		}) {
			t.Errorf("%q, %s:\n got %q\nwant %q", text, name, got, want)
		}
	}
}

func TestCSV(t *testing.T) {
	o := Options{Format: CSV, Fields: allFields, Pushed: true}
	check(t, "\ufeffs,i,t,b\n\"a,\nb\",9007199254740993,2025-01-01T00:00:00Z,true\n,,,\n", o,
		`2: t=2025-01-01T00:00:00Z i=9007199254740993 s="a,\nb" b=true`, "4: ")
	check(t, "s,i\r\n\r\n\"x\r\ny\",1\r\n\n\"say \"\"hi\"\"\",2\r\nz,3", o, `3: i=1 s="x\r\ny"`, `6: i=2 s="say \"hi\""`, `7: i=3 s="z"`)
	check(t, "i,s\n", o)
	check(t, "", o, "error: no header; the first line names the columns")
	check(t, "\n\n", o, "error: no header…")
	check(t, "i\n1\r", o, "2: i=1")
	check(t, "\"i\",\"s\"\n1,\"\"\n2,\n\"\",x\n", o, `2: i=1 s=""`, "3: i=2", `4: s="x"`)
	check(t, "y,u\n\"\",\"\"\nAP8=,-1.5s\n", o, "2: y="+plan.BytesValue(nil).String(), "3: y="+plan.BytesValue([]byte{0, 255}).String()+" u=-1.5s")
}

func TestN10_CSVBadRows(t *testing.T) {
	o := Options{Format: CSV, Fields: allFields, Pushed: true}
	check(t, "i,s\n1\n2,x,y\n3,z\n", o, `2: bad row at 2 "1": the row has 1 field and the header 2`, `3: bad row at 3 "2,x,y": the row has 3 fields…`, `4: i=3 s="z"`)
	check(t, "i,s\n1,a\ni,s\n2,b\n", o, `2: i=1 s="a"`, `3: bad row at 3 "i,s": the row repeats the header`, `4: i=2 s="b"`)
	check(t, "s\ns\n", o, `2: s="s"`)
	check(t, "i,s\n1,a\"b\n2,\"a\"b\n3,\"x\ny\"z\n4,w\n", o, `2: bad row at 2 "1,a\"b": a quote within a field…`, `3: bad row at 3 "2,\"a\"b": text after the quote…`,
		`4: bad row at 4 "3,\"x\ny\"z": text after the quote…`, `6: i=4 s="w"`)
	check(t, "i,s\n1,a\rb\n2,\"a\rb\"\n", o, `2: bad row at 2 "1,a\rb": a carriage return…`, `3: i=2 s="a\rb"`)
	check(t, "i,s\n1,\"x\ny\n", o, "error: line 2: a quote that is never closed")
	check(t, "s,i\n\"x\ny\",z\n1,\"2\n3\"\n", o, `2: s="x\ny" bad i at 3 "z": "z" is not an int`, `4: s="1" bad i at 4 "2\n3"…is not an int`)
	check(t, "t,i,d,b,u\n2025-01-01T10:00Z,1.5,x,y,1d\n", o,
		`2: bad t at 2 "2025-01-01T10:00Z": …is not a time… bad i at 2 "1.5"…bad d at 2 "x"…bad b at 2 "y"…bad u at 2 "1d"…`)
	check(t, "s\ncaf\xe9\n", o, `2: bad s at 2 "caf\xe9": the string is not valid UTF-8`)
	check(t, "i,ii\n1,2\n", o, `error: line 1: unknown column "ii" (did you mean "i"?)`)
	check(t, "i,i\n1,2\n", o, `error: line 1: column "i" occurs twice`)
	check(t, "\xff\xfei\x00\n\x00", o, "error: line 1: the text is UTF-16; write it as UTF-8")
	o.Pushed = false
	check(t, "t,i,d,s,b,y,u,U\n", o, `error: line 1: columns "u" and "U" differ only in case; rename one`)
	check(t, "t,i,d,s,B,y,u\n", o, `error: line 1: no column "b" (did you mean "B"?); there are B, d, i, s, t, u, y`)
	check(t, "t,i,d,s,b,y,u,x,\n,1,,,,,,anything,\n", o, "2: i=1")
}

func TestCSVDialects(t *testing.T) {
	o := Options{Format: CSV, Fields: allFields, Pushed: true, Dialect: plan.CSV{Delimiter: ';', Quote: '\'', Null: "NA"}}
	check(t, "s;i;d\n'a;''b';NA;1.5\nNA;'NA';NA\n'NA';7;\n;1;2\n", o,
		`2: d=1.5 s="a;'b"`, "3: ", `4: i=7 s="NA" bad d at 4 "": "" is not a double`, `5: i=1 d=2.0 s=""`)
	o.Dialect = plan.CSV{Delimiter: '|', Unquoted: true}
	check(t, "s|i\n\"a|1\nb\"c|2\n", o, `2: i=1 s="\"a"`, `3: i=2 s="b\"c"`)
}

func TestJSON(t *testing.T) {
	o := Options{Format: JSON, Fields: allFields, Pushed: true}
	want := []string{`1: i=1 s="é\n😀"`, `2: d=2.5`, "3: "}
	check(t, "{\"i\": 1, \"s\": \"\\u00e9\\n\\uD83D\\ude00\"}\n {\"d\":2.5 , \"i\":null} \r\n{}\n\n \t\n", o, want...)
	check(t, "\ufeff[{\"i\": 1, \"s\": \"é\\n😀\"},\n{\"d\":2.5}\n,{}]\n", o, `1: i=1 s="é\n😀"`, "2: d=2.5", "3: ")
	check(t, " [ ] ", o)
	check(t, "", o)
	check(t, "[{\"i\":\n1,\n\"d\": \"x\"},\n{\"i\": 2}]", o, `1: i=1 bad d at 3 "x": the string "x" is not a double`, "4: i=2")
	check(t, `{"t": "2025-01-01T00:00:00+05:30", "y": "AP8=", "u": "1h", "b": false, "d": "-Infinity", "i": -1e3}`, o,
		`1: t=2024-12-31T18:30:00Z i=-1000 d=-Inf b=false y=`+plan.BytesValue([]byte{0, 255}).String()+" u=1h0m0s")
	check(t, `{"\u0069": 5}`, o, "1: i=5")
	o.Pushed = false
	check(t, "{\"i\": 1, \"x\": {\"a\": [1, {\"b\": \"}\"}], \"a\": 2}, \"t\": null, \"d\": null, \"s\": null, \"b\": null, \"y\": null, \"u\": null}\n{\"i\": 2}\n", o, "1: i=1", "2: i=2")
	check(t, "{\"i\": 1}\n", o, "1: i=1")
	check(t, "{\"i\": 1}\n{\"I\": 1}\n", o, "1: i=1", `error: line 2: columns "i" and "I" differ only in case; rename one`)
}

func TestN8_N10_JSONBadRows(t *testing.T) {
	o := Options{Format: JSON, Fields: allFields, Pushed: true}
	for line, want := range map[string]string{
		`{"i": 3.5}`:                    `bad i at 2 "3.5": "3.5" is not an int, because it is not whole`,
		`{"i": 9223372036854775808}`:    `…64 bits`,
		`{"i": "3"}`:                    `bad i at 2 "3": the string "3" is not an int`,
		`{"d": "3"}`:                    `…the string "3" is not a double`,
		`{"d": 1e999}`:                  `…does not fit in a double`,
		`{"s": 3}`:                      `…3 is not a string`,
		`{"b": 1}`:                      `…1 is not a bool`,
		`{"b": "true"}`:                 `…the string "true" is not a bool`,
		`{"t": 1735689600}`:             `…1735689600 is not a timestamp`,
		`{"t": "2025-01-32"}`:           `…is not a time`,
		`{"y": "%"}`:                    `…is not base64`,
		`{"u": "3"}`:                    `…is not a duration`,
		`{"i": [1]}`:                    `bad i at 2 "[1]": an array is not an int`,
		`{"s": {"a": 1}}`:               `…an object is not a string`,
		`{"s": "\ud83d"}`:               `…surrogate`,
		`{"s": "\ud83d\u0041"}`:         `…surrogate`,
		"{\"s\": \"caf\xe9\"}":          `…not valid UTF-8`,
		`{"i": 1, "i": 2}`:              `bad row at 2 "{\"i\": 1, \"i\": 2}": column "i" occurs twice`,
		`{"ii": 1}`:                     `…unknown column "ii" (did you mean "i"?)`,
		`{"i": 1} {"i": 2}`:             `…more than one JSON value; each event has a line of its own`,
		`{"i": 1`:                       `…the line ends before the object does`,
		`{"i": `:                        `…the line ends before the object does`,
		`{"s": "a`:                      `…the line ends before the object does`,
		`[1]`:                           `…not a JSON object`,
		`"caf"`:                         `…not a JSON object`,
		`{"i": 01}`:                     `…at character 7: a number that JSON does not have`,
		`{"i": +1}`:                     `…at character 7: no value`,
		`{"d": NaN}`:                    `…a NaN or an infinity is written in double quotes`,
		`{"d": .5}`:                     `…no value`,
		`{"i": 1,}`:                     `…a name in double quotes is missing`,
		`{"i" 1}`:                       `…a colon is missing`,
		`{"i": 1 "d": 2}`:               `…neither a comma nor a brace`,
		`{'i': 1}`:                      `…a name in double quotes is missing`,
		"{\"s\": \"a\tb\"}":             `…a control character, U+0009`,
		`{"s": "\x"}`:                   `…an escape that JSON does not have`,
		`{"s": "\u12g4"}`:               `…without four hexadecimal digits`,
		`{"b": tru}`:                    `…no value`,
		`{"ix": ` + deep(1001) + `}`:    `…more than 1000 deep`,
		`{"i": 1, "s": "a"} // comment`: `…more than one JSON value`,
	} {
		check(t, "{\"i\": 1}\n"+line+"\n{\"i\": 2}\n", o, "1: i=1", "2: "+want, "3: i=2")
	}
	for text, want := range map[string]string{
		"[{\"i\": 1},\n{\"i\": 01}]":    "error: line 2: malformed JSON: a number that JSON does not have",
		"[{\"i\": 1},\n\n{\"i\": \nx}]": "error: line 4: malformed JSON: no value",
		"[{\"i\": 1}":                   "error: line 1: the array is never closed",
		"[{\"i\": 1},":                  "error: line 1: the array is never closed",
		"[{\"i\": 1}, {\"i\"":           "error: line 1: the array is never closed",
		"[{\"i\": 1}]\n{}":              "error: line 2: text after the end of the array",
		"[{\"i\": 1}{}]":                "error: line 1: neither a comma nor a bracket after an element of the array",
		"[{\"i\": 1},]":                 "error: line 1: malformed JSON: no value",
	} {
		check(t, text, o, "1: i=1", want)
	}
	check(t, "[{\"i\": 1}, 12, \"x\", [1, 2],\n{\"i\": 2, \"i\": 3}, {\"i\": 4}]", o, "1: i=1", `1: bad row at 1 "12": not a JSON object…`, `1: bad row at 1 "\"x\""…not a JSON object`,
		`1: bad row at 1 "[1, 2]"…`, `2: bad row at 2 …"i" occurs twice`, "2: i=4")
}

func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestSeen(t *testing.T) {
	r := NewReader(strings.NewReader("{\"i\": null}\n{\"s\": 1, \"x\": 2}\n"), Options{Format: JSON, Fields: allFields})
	for _, err := r.Next(); !errors.Is(err, io.EOF); _, err = r.Next() {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range allFields {
		if want := f.Name == "i" || f.Name == "s"; r.Seen(f) != want {
			t.Errorf("%s is seen: %v", f.Name, r.Seen(f))
		}
	}
	if names := r.Names(); !slices.Equal(names, []string{"i", "s", "x"}) {
		t.Errorf("names %q", names)
	}
}

// TestRowsAreGivenBeforeMoreIsRead: a pipe may have no more text for a long time.
func TestRowsAreGivenBeforeMoreIsRead(t *testing.T) {
	for _, tc := range []struct {
		format Format
		header string
		row    string
	}{{CSV, "i\n", "7\n"}, {JSON, "", "{\"i\": 7}\n"}, {JSON, "[", "{\"i\": 7},"}} {
		pr, pw := io.Pipe()
		r := NewReader(pr, Options{Format: tc.format, Fields: allFields, Pushed: true})
		for _, text := range []string{tc.header + tc.row, tc.row, tc.row} {
			go func() {
				if _, err := io.WriteString(pw, text); err != nil {
					t.Error(err)
				}
			}()
			rows, err := r.Next()
			if err != nil || rows.N != 1 || rows.Cols[1].Int[0] != 7 {
				t.Fatalf("%v: %v, %v", tc, rows, err)
			}
		}
		broken := errors.New("broken")
		go func() {
			if _, err := io.WriteString(pw, tc.row[:1]); err != nil {
				t.Error(err)
			}
			pw.CloseWithError(broken)
		}()
		if rows, err := r.Next(); !errors.Is(err, broken) {
			t.Errorf("%v: half a row is %v, %v", tc, rows, err)
		}
	}
}

func TestRowsAreBounded(t *testing.T) {
	for _, tc := range []struct {
		format      Format
		begin, fill string
	}{{CSV, "i,s\n1,\"", "x\n"}, {CSV, "i,s\n1,", "x"}, {JSON, `{"s": "`, "x"}, {JSON, `[{"s": "`, "x"}, {JSON, "[[", " ["}} {
		src := io.MultiReader(strings.NewReader(tc.begin), &endless{text: tc.fill})
		_, err := NewReader(src, Options{Format: tc.format, Fields: allFields, Pushed: true}).Next()
		if err == nil || !strings.Contains(err.Error(), "longer than 16 MiB") && !strings.Contains(err.Error(), "deep") {
			t.Errorf("%q…: %v", tc.begin, err)
		}
	}
}

// endless is a text that never ends.
type endless struct{ text string }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[i%len(e.text)]
	}
	return len(p), nil
}

func TestBatches(t *testing.T) {
	var text bytes.Buffer
	text.WriteString("i,s\n")
	const n = 3*batchRows + 1
	for i := range n {
		fmt.Fprintf(&text, "%d,row %d\n", i, i)
	}
	r := NewReader(&text, Options{Format: CSV, Fields: []plan.Field{field("i", plan.Int), field("s", plan.String)}})
	next := 0
	for {
		rows, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || rows.N > batchRows {
			t.Fatal(rows, err)
		}
		for i := range rows.N {
			if rows.Cols[0].Int[i] != int64(next) || rows.Cols[1].Str[i] != fmt.Sprint("row ", next) || rows.Lines[i] != int64(next)+2 {
				t.Fatalf("row %d: %v", next, rows)
			}
			next++
		}
	}
	if next != n {
		t.Errorf("%d rows", next)
	}
}

func TestDecompress(t *testing.T) {
	const text = "i\n1\n2\n"
	var gz, zst bytes.Buffer
	for range 2 { // streams may follow one another
		w := gzip.NewWriter(&gz)
		if _, err := w.Write([]byte(text)); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
	}
	w, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text + text)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"a.csv.gz": gz.Bytes(), "a.CSV.ZST": zst.Bytes(), "a.csv": []byte(text + text)} {
		src, err := Decompress(name, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(src); err != nil || string(got) != text+text || src.Close() != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if name == "a.csv" {
			continue
		}
		for n := range len(b) - 1 {
			src, err := Decompress(name, bytes.NewReader(b[:n]))
			if err == nil {
				_, err = io.ReadAll(src)
			}
			if err == nil && n != len(b)/2 { // that is the first of two streams
				t.Errorf("%s: %d of %d bytes are no error", name, n, len(b))
			}
		}
	}
}

func TestFormatOf(t *testing.T) {
	for name, want := range map[string]string{"a.csv": "1,\x00", "A.TSV": "1,\t", "a.b.tsv.gz": "1,\t", "a.jsonl.zst": "2,\x00", "a.ndjson": "2,\x00", "a.json": "2,\x00", "a.txt": "", "csv": "", "a.gz": ""} {
		f, d, ok := FormatOf(name, plan.CSV{})
		if got := fmt.Sprintf("%d,%c", f, d.Delimiter); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v, want %q", name, got, ok, want)
		}
	}
	if _, d, _ := FormatOf("a.tsv", plan.CSV{Delimiter: ';'}); d.Delimiter != ';' {
		t.Error("the ending decides over the declaration")
	}
}

func TestInference(t *testing.T) {
	for _, tc := range []struct {
		texts []string
		f     Format
		want  string
	}{
		{[]string{"a,b,c,d,e,f\ntrue,1,1.5,2025-01-01,x,\n,-2,3,2025-01-01T10:00:00+02,,\"\"\n"}, CSV, "a bool, b int, c double, d timestamp, e string, f dyn"},
		{[]string{"a\n007\n", "a\n1\n"}, CSV, "a string"},
		{[]string{"a\n1\n", "a\n2.5\n"}, CSV, "a double"},
		{[]string{"a\n9007199254740993\n"}, CSV, "a int"},
		{[]string{"a\n9007199254740993\n2.5\n"}, CSV, "a string"},
		{[]string{"a\n9223372036854775808\n"}, CSV, "a string"},
		{[]string{"a,b,c,d\n1,true,NaN,+1\n2025-01-01,1,1,2\n"}, CSV, "a string, b string, c string, d string"},
		{[]string{"a\n\"1\"\n\"\"\n"}, CSV, "a int"},
		{[]string{"a\n1e999\n"}, CSV, "a string"},
		{[]string{`{"a": true, "b": 1, "c": 1.0, "d": "2025-01-01", "e": "x", "f": null}`, `{"g": 1, "c": 2}`}, JSON, "a bool, b int, c double, d timestamp, e string, f dyn, g int"},
		{[]string{`{"a": "2025-01-01"}`, `{"a": "x"}`}, JSON, "a string"},
		{[]string{`{"a": 1}`, `{"a": "1"}`}, JSON, "a (ints, strings)"},
		{[]string{`[{"a": [1], "b": 9223372036854775808, "c": 9007199254740993}, {"c": 0.5}]`}, JSON, "a (objects or arrays), b (numbers beyond 64 bits), c (ints beyond 2^53, doubles)"},
	} {
		for range 2 {
			var in Inference
			for _, text := range tc.texts {
				if err := in.Read(strings.NewReader(text), tc.f, plan.CSV{}); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, c := range in.Columns() {
				s := c.Name + " " + c.Kind.String()
				if c.Kind == plan.Invalid {
					s = c.Name + " dyn"
				}
				if c.Why != "" {
					s = c.Name + " (" + c.Why + ")"
				}
				got = append(got, s)
			}
			slices.Sort(got)
			if s := strings.Join(got, ", "); s != tc.want {
				t.Errorf("%q: %s, want %s", tc.texts, s, tc.want)
			}
			slices.Reverse(tc.texts)
		}
	}
}

// TestInferredTypesHoldEveryText: with the inferred types no row is bad.
func TestInferredTypesHoldEveryText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cells := rapid.SliceOfN(rapid.OneOf(cellText(), rapid.SampledFrom([]string{"", "1", "2.5", "true", "2025-01-01", "-0", "1e5", "9007199254740993", "00"})), 1, 6).Draw(t, "cells")
		text := "a,b\n"
		for _, c := range cells {
			text += quote(c) + ",\n"
		}
		var in Inference
		if err := in.Read(strings.NewReader(text), CSV, plan.CSV{}); err != nil {
			t.Fatal(err)
		}
		kind := in.Columns()[0].Kind
		if kind == plan.Invalid {
			kind = plan.Bool
		}
		rows, err := readAll(strings.NewReader(text), Options{Format: CSV, Fields: []plan.Field{field("a", kind)}})
		if err != nil || len(rows) != len(cells) {
			t.Fatalf("%q: %q, %v", text, rows, err)
		}
		for i, row := range rows {
			if strings.Contains(row, "bad a") && !strings.Contains(row, "UTF-8") {
				t.Fatalf("%q as %v: %s", cells[i], kind, row)
			}
		}
	})
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// cellText draws texts with characters that are special in CSV and JSON.
func cellText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "é", "\"", ",", "\n", "\r\n", "\r", "\\", "\\n", "0", "1", ".", "-", ":", "T", "2025-01-01", "\u00a0", "{", "}", "[", "\t", "\x00", " "}),
			0, 5).Draw(t, "parts"), "")
	})
}

// TestP7_HowTextIsCutUpDoesNotMatter: reads of any size give the same rows.
func TestP7_HowTextIsCutUpDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "i", "s", ",", "\"", "\"\"", "\n", "\r\n", "\r", "1", "{", "}", "[", "]", ":", "\"i\"", "\"s\":", "{\"i\": 1}", "null", " ", "\\", "\ufeff", "i,s\n"}),
			0, 40).Draw(t, "text"), "")
		o := Options{Format: rapid.SampledFrom([]Format{CSV, JSON}).Draw(t, "format"), Fields: allFields, Pushed: true}
		whole, wholeErr := readAll(strings.NewReader(text), o)
		parts, partsErr := readAll(iotest.OneByteReader(strings.NewReader(text)), o)
		if !slices.Equal(whole, parts) || fmt.Sprint(wholeErr) != fmt.Sprint(partsErr) {
			t.Fatalf("%q:\n%q, %v\n%q, %v", text, whole, wholeErr, parts, partsErr)
		}
	})
}

// Memory is reserved for the rows that there are, not for those that the bytes might hold.
func TestAllReservesWhatItNeeds(t *testing.T) {
	fields := []plan.Field{field("s", plan.String)}
	text := `[{"s": "` + strings.Repeat("{},", 100_000) + `"}, 1]`
	rows, err := All([]byte(text), Options{Format: JSON, Fields: fields, Pushed: true}, 10_000)
	if err != nil || rows.N != 2 || len(rows.Bad) != 1 || cap(rows.Cols[0].Str) > 4 {
		t.Errorf("%d rows, %d bad, memory for %d: %v", rows.N, len(rows.Bad), cap(rows.Cols[0].Str), err)
	}
}

func TestAllRowsOfMemory(t *testing.T) {
	fields := []plan.Field{field("i", plan.Int), field("s", plan.String)}
	o := Options{Format: JSON, Fields: fields, Pushed: true, Complete: true, QuotedInts: true}
	for text, want := range map[string]string{
		`[]`: "",
		`[{"i": "7", "s": "a\u00e9"}, {"s": null, "i": 8}]`: `7 "aé"; 8 null`,
		`[{"i": 1}]`: `1 null: it is missing`,
		`[{"i": 1, "s": "x"}, {"i": 1, "s": "x"}, {"i": 1, "s": "x"}]`: "more than 2 rows",
		`[{"i": 1, "s": "x"}, `:  "the array is never closed",
		`[{"i": 1, "s": "x"}] 1`: "text after the end of the array",
		`[{"i": "x", "s": "x"}]`: `null "x": "x" is not an int`,
	} {
		rows, err := All([]byte(text), o, 2)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			var parts []string
			for i := range rows.N {
				parts = append(parts, fmt.Sprint(rows.Cols[0].Value(i), " ", rows.Cols[1].Value(i)))
			}
			got = strings.Join(parts, "; ")
			for _, bad := range rows.Bad {
				got += ": " + bad.Reason
			}
		}
		if !strings.HasSuffix(got, want) && !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
