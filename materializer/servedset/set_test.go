package servedset_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/inprocess"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/materializer/servedset"
	"github.com/unskew/unskew/sdk"
)

const definitions = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: payments
stream: true
event_time: at
event_id: id
columns:
  id: {type: string}
  at: {type: timestamp}
  user_id: {type: int}
  amount: {type: double}
  wait: {type: duration}
  shop: {type: string}
  card: {type: bytes}
  first: {type: bool}
---
kind: FeatureView
name: v
entity: user
source: payments
features:
  n: count()
  total: sum(amount)
  mean: mean(amount, "1h")
  last_3: latest_n(shop, 3)
  shops: top_k(shop, 2)
  by_shop: sum(amount).by(shop)
  waited: max(wait)
  card: latest(card)
  first: latest(first)
  at: latest(at)
  filled: {expr: 'mean(amount, "1s/1s")', default: 0.5}
  gone: mean(amount, "1s/1s")
  failing: 100 / count("1s/1s")
---
kind: FeatureService
name: s
features: [v]
request: {age: duration, note: string}
derived:
  twice: v.n * 2
  older: request.age
  remark: request.note
`

// served serves the project and records users' answers.
func served(t *testing.T, users ...int64) (dir string, s *plan.Service) {
	t.Helper()
	dir = t.TempDir()
	defstest.Write(t, dir, definitions)
	if err := os.WriteFile(filepath.Join(dir, "unskew.yaml"), []byte("project: test\nserved_log: {rate: 100%, folder: served}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := inprocess.Open(t.Context(), dir, inprocess.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	_, err = f.Client().Push(t.Context(), "payments",
		sdk.Strings("id", "a", "b", "c"), sdk.Times("at", now.Add(-2*time.Hour), now.Add(-time.Minute), now.Add(-time.Second)), sdk.Ints("user_id", 7, 7, 8), sdk.Doubles("amount", 2.5, 4, 0.1),
		sdk.Durations("wait", time.Second, time.Hour, 1), sdk.Strings("shop", "x", "y", "x"), sdk.Bytes("card", []byte{0}, []byte{255, 1}, nil), sdk.Bools("first", true, false, true))
	if err != nil {
		t.Fatal(err)
	}
	read := func(id string, only ...sdk.ReadOption) *sdk.Rows {
		n := len(users)
		ages, notes := make([]time.Duration, n), make([]string, n)
		for i := range notes {
			ages[i], notes[i] = time.Duration(i+1)*time.Nanosecond, fmt.Sprint("note ", i)
		}
		rows, err := f.Client().GetFeatures(t.Context(), "s", []sdk.Column{sdk.Ints("user_id", users...)}, []sdk.Column{sdk.Durations("age", ages...), sdk.Strings("note", notes...)},
			append(only, sdk.RequestID(id))...)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		feature, err := read("wait").Feature("v.n")
		if err != nil {
			t.Fatal(err)
		}
		n, err := sdk.Values[int64](feature)
		if err != nil {
			t.Fatal(err)
		}
		if n[0] == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the events are not applied")
		}
	}
	read("all")
	read("some", sdk.Only("v.n", "twice"))
	read("stale", sdk.MaxStaleness(time.Nanosecond), sdk.StaleAsStatus())
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, defstest.Load(t, dir, featuredefs.Options{}).Plan.Services[0]
}

// A training set has the values that were served, as bits, with their statuses, whatever their types; what a request did not ask for is computed.
// Nothing of the rest can be, as there is no history here.
func TestP23_TrainingSetsHaveWhatWasServed(t *testing.T) {
	dir, s := served(t, 7, 8, 9)
	reader, err := relation.Open(relation.Options{BaseDir: dir, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	set, err := servedset.Make(t.Context(), servedset.Config{Service: s, Dir: filepath.Join(dir, "served"), From: plan.Always, To: plan.Never, Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	out := t.TempDir()
	m, err := offline.Train(t.Context(), offline.Config{
		Reader: reader, Project: "test", Set: &plan.TrainingSet{Name: "s", Service: s, Spine: set.Spine}, Out: out, WithStatus: true, Served: set, Threads: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.Spine.Rows != 12 || m.Spine.Served.Outputs["v.n"] != 12 || m.Spine.Served.Outputs["v.total"] != 9 || m.Spine.Served.Repeated == 0 {
		t.Errorf("%+v", m.Spine.Served)
	}
	compare(t, s, rowsOf(t, filepath.Join(dir, "served")), trained(t, s, reader, filepath.Join(out, "data.parquet")))
}

// cells is the value, the status and the reason of each output.
type cells [][3]plan.Value

// rowsOf reads the rows of a served log, each request once.
func rowsOf(t *testing.T, dir string) (out []cells) {
	t.Helper()
	files, err := servedlog.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range files {
		g, err := servedlog.Open(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		for r, err := range g.Rows() {
			if err != nil {
				t.Fatal(err)
			}
			id := fmt.Sprint(r.RequestID, r.Number)
			if seen[id] {
				continue
			}
			seen[id] = true
			var row cells
			for _, o := range r.Outputs {
				status, reason := plan.StringValue(o.Status), plan.StringValue(o.Reason)
				if o.Status == "STALE" {
					status, reason = reason, plan.StringValue("")
				}
				row = append(row, [3]plan.Value{o.Value, status, reason})
			}
			out = append(out, row)
		}
	}
	return out
}

// trained reads the rows of a training set.
func trained(t *testing.T, s *plan.Service, reader *relation.Reader, path string) (out []cells) {
	t.Helper()
	fields := []plan.Field{{Name: "request.id", Type: plan.T(plan.String)}, {Name: "request.row", Type: plan.T(plan.Int)}, {Name: "request.as_of", Type: plan.T(plan.Timestamp)}}
	fields = append(append(fields, s.Keys...), s.Request...)
	first := len(fields)
	var texts []plan.Field
	for _, o := range s.Outputs() {
		status := plan.Field{Name: o.Name + ".status", Type: plan.T(plan.String)}
		fields, texts = append(fields, plan.Field{Name: o.Name, Type: o.Type}, status), append(texts, status)
		if o.Name == "v.filled" {
			reason := plan.Field{Name: o.Name + ".reason", Type: plan.T(plan.String)}
			fields, texts = append(fields, reason), append(texts, reason)
		}
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := parquetfile.NewReader(file, info.Size(), fields)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Group(0, 12, 1000, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Statuses are not nullable, as that reader takes columns to be.
	err = reader.Scan(t.Context(), relation.Relation{Owner: "training set", From: path}, texts, func(of *relation.Batch) error {
		for i := range of.N {
			var row cells
			for c := first; c < len(fields); c += 2 {
				cell := [3]plan.Value{b.Cols[c].Value(len(out)), plan.StringValue(strings.Clone(of.Col(fields[c+1].Name).Str[i])), plan.StringValue("")}
				if fields[c].Name == "v.filled" {
					if reason := of.Col("v.filled.reason"); reason.Valid(i) {
						cell[2] = plan.StringValue(strings.Clone(reason.Str[i]))
					}
					c++
				}
				row = append(row, cell)
			}
			out = append(out, row)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func compare(t *testing.T, s *plan.Service, want, got []cells) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	present := map[string]bool{}
	for i := range want {
		for o, output := range s.Outputs() {
			if want[i][o][1].Str() == "" {
				continue // not asked for, so it is computed
			}
			for part := range 3 {
				w, g := plan.AppendCanonical(nil, want[i][o][part]), plan.AppendCanonical(nil, got[i][o][part])
				if !bytes.Equal(w, g) {
					t.Errorf("row %d, %s: %v, want %v", i, output.Name, got[i][o], want[i][o])
				}
			}
			present[output.Name+want[i][o][1].Str()] = true
		}
	}
	for _, must := range []string{"v.by_shopPRESENT", "v.last_3PRESENT", "v.waitedPRESENT", "v.goneEMPTY", "v.filledDEFAULTED", "v.failingERROR", "v.meanUNKNOWN_ENTITY", "olderPRESENT"} {
		if !present[must] {
			t.Errorf("no value is %s", must)
		}
	}
}
