package against_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/parquetfile/arrowfile"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/validate/against"
)

const definitions = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: payments
from: payments.csv
event_time: at
known_at: seen
event_id: id
columns:
  id: {type: string}
  at: {type: timestamp}
  seen: {type: timestamp}
  user_id: {type: int}
  amount: {type: double}
  wait: {type: duration}
  shop: {type: string}
  fraud: {type: bool, outcome: true, known_at: fraud_seen}
  fraud_seen: {type: timestamp}
---
kind: FeatureView
name: p
entity: user
source: payments
features:
  n: count("7d")
  total: sum(amount, "30d")
  last: latest(amount)
  shop: latest(shop)
  at: latest(at)
  waited: max(wait)
  ever: latest(fraud)
---
kind: FeatureService
name: risk
features: [p]
derived:
  mean: p.total / double(p.n + 1)
`

const (
	day   = plan.EventTime(plan.Day)
	begin = plan.EventTime(1735689600000000) // 2025-01-01T00:00:00Z
	users = 40
)

// bank is a project with a random history and rows to compute.
type bank struct {
	dir     string
	reader  *relation.Reader
	service *plan.Service
	users   []int64
	at      []plan.EventTime
}

func newBank(t *testing.T) *bank {
	t.Helper()
	b := &bank{dir: t.TempDir()}
	random := rand.New(rand.NewPCG(3, 3))
	var csv strings.Builder
	csv.WriteString("id,at,seen,user_id,amount,wait,shop,fraud,fraud_seen\n")
	for i := range 3000 {
		at := begin + plan.EventTime(random.Int64N(int64(60*day)))/1e6*1e6
		seen := at + plan.EventTime(random.Int64N(int64(2*day)))/1e6*1e6
		line := fmt.Sprintf("e%d,%s,%s,%d,%g,%ds,s%d,%t,%s\n", i, at, seen, random.IntN(users), float64(random.IntN(10000))/7, random.IntN(100), random.IntN(9), random.IntN(2) == 0, seen+day)
		csv.WriteString(line)
		if random.IntN(4) == 0 {
			csv.WriteString(line) // delivered twice
		}
	}
	if err := os.WriteFile(filepath.Join(b.dir, "payments.csv"), []byte(csv.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	defstest.Write(t, b.dir, definitions)
	b.service = defstest.Load(t, b.dir, featuredefs.Options{}).Plan.Services[0]
	var err error
	if b.reader, err = relation.Open(relation.Options{BaseDir: b.dir, Threads: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.reader.Close() })
	for range 400 {
		b.users = append(b.users, random.Int64N(users+5)) // some have no event
		b.at = append(b.at, begin+10*day+plan.EventTime(random.Int64N(int64(50*day))))
	}
	return b
}

// values computes the features for all rows as of their times minus an age, and writes them with their times.
func (b *bank) values(t *testing.T, age plan.EventTime, final bool, service *plan.Service) string {
	t.Helper()
	dir := t.TempDir()
	spine, path := filepath.Join(dir, "spine.parquet"), filepath.Join(dir, "theirs.parquet")
	w, err := arrowfile.CreateRowFile(spine, []plan.Field{{Name: "user_id", Type: plan.T(plan.Int)}, {Name: "at", Type: plan.T(plan.Timestamp)}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.at {
		if err := w.Add([]plan.Value{plan.IntValue(b.users[i]), plan.TimestampValue(b.at[i] - age)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	_, err = offline.Train(t.Context(), offline.Config{Reader: b.reader, Project: "test", Set: &plan.TrainingSet{Name: "t", Service: service, Spine: plan.Spine{From: spine, Time: "at"}}, Out: out, Final: final, Engine: celenv.Engine()})
	if err != nil {
		t.Fatal(err)
	}
	fields := []plan.Field{{Name: "user_id", Type: plan.T(plan.Int)}, {Name: "at", Type: plan.T(plan.Timestamp)}}
	for _, o := range service.Outputs() {
		typ := o.Type.Unwrap()
		if typ.Kind == plan.Duration {
			typ = plan.T(plan.Int)
		}
		fields = append(fields, plan.Field{Name: o.Name, Type: typ})
	}
	if w, err = arrowfile.CreateRowFile(path, fields); err != nil {
		t.Fatal(err)
	}
	err = b.reader.Scan(t.Context(), relation.Relation{Owner: "set", From: filepath.Join(out, "data.parquet")}, fields, func(batch *relation.Batch) error {
		for i := range batch.N {
			var row []plan.Value
			for _, c := range batch.Cols {
				v := c.Value(i)
				if v.Kind() == plan.String {
					v = plan.StringValue(strings.Clone(v.Str()))
				}
				row = append(row, v)
			}
			row[1] = plan.TimestampValue(row[1].Time() + age)
			if err := w.Add(row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func (b *bank) compare(t *testing.T, path string, explain int) *against.Report {
	t.Helper()
	r, err := against.Run(t.Context(), against.Config{Reader: b.reader, Service: b.service, Relation: relation.Relation{Owner: "theirs", From: path}, Time: "at", Explain: explain, Engine: celenv.Engine(), Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// repeated is the service over events that count as often as they are delivered.
func (b *bank) repeated() *plan.Service {
	s, v := *b.service, *b.service.Views[0].View
	src := *v.Source
	src.EventID, src.DedupWindow = "", 0
	v.Source = &src
	s.Views = []plan.ViewRef{{View: &v, As: s.Views[0].As, Keys: s.Views[0].Keys}}
	return &s
}

// Values of a system without a mistake are all equal, of every type. Those of one with a mistake differ for its cause; another cause that
// explains a value as well is rare.
func TestP21_MistakesOfOthersAreNamed(t *testing.T) {
	b := newBank(t)
	for _, x := range []struct {
		name    string
		age     plan.EventTime
		final   bool
		service *plan.Service
		causes  []against.Cause
	}{
		{name: "none", service: b.service},
		{name: "stale", age: day / 2, service: b.service, causes: []against.Cause{against.Lag}},
		{name: "stale by an age that is tried only nearly", age: day / 2, final: true, service: b.service, causes: []against.Cause{against.Lag, against.Late, against.Outcome}},
		{name: "knows too early", final: true, service: b.service, causes: []against.Cause{against.Late, against.Outcome}},
		{name: "ahead", age: -3 * plan.EventTime(plan.Hour), service: b.service, causes: []against.Cause{against.Clock, against.Late, against.Outcome}},
		{name: "counts deliveries", service: b.repeated(), causes: []against.Cause{against.Duplicate}},
	} {
		t.Run(strings.ReplaceAll(x.name, " ", "-"), func(t *testing.T) {
			r := b.compare(t, b.values(t, x.age, x.final, x.service), 0)
			if r.Compared != int64(8*len(b.at)) || len(r.NotCompared)+len(r.NotThere) > 0 {
				t.Errorf("%+v", r)
			}
			right := int64(0)
			for _, c := range x.causes {
				right += r.Causes[c]
			}
			if (r.Different == 0) != (x.causes == nil) || r.Explained != r.Different || float64(right) < 0.97*float64(r.Different) || r.Causes[against.Unknown] > 0 {
				t.Errorf("%d of %d differ: %v", r.Different, r.Compared, r.Causes)
			}
			t.Logf("%d of %d differ: %v", r.Different, r.Compared, r.Causes)
		})
	}
}

// Several mistakes in one file, each in some of its rows, are told apart.
func TestMixedMistakesAreToldApart(t *testing.T) {
	b := newBank(t)
	kinds := []struct {
		path   string
		causes []against.Cause
	}{
		{b.values(t, 0, false, b.service), nil},
		{b.values(t, day/2, false, b.service), []against.Cause{against.Lag}},
		{b.values(t, 0, true, b.service), []against.Cause{against.Late, against.Outcome}},
		{b.values(t, -3*plan.EventTime(plan.Hour), false, b.service), []against.Cause{against.Clock}},
		{b.values(t, 0, false, b.repeated()), []against.Cause{against.Duplicate}},
	}
	var files []string
	want := map[string]int64{}
	for i, k := range kinds {
		files = append(files, fmt.Sprintf("SELECT * FROM (SELECT *, row_number() OVER () AS n FROM read_parquet('%s')) WHERE n %% %d = %d", k.path, len(kinds), i))
	}
	sql := "SELECT * EXCLUDE n FROM (" + strings.Join(files, " UNION ALL ") + ")"
	for i, k := range kinds {
		of, err := against.Run(t.Context(), against.Config{Reader: b.reader, Service: b.service, Relation: relation.Relation{Owner: "theirs", SQL: files[i]}, Time: "at", Engine: celenv.Engine()})
		if err != nil {
			t.Fatal(err)
		}
		want[fmt.Sprint(k.causes)] += of.Different
	}
	r, err := against.Run(t.Context(), against.Config{Reader: b.reader, Service: b.service, Relation: relation.Relation{Owner: "theirs", SQL: sql}, Time: "at", Engine: celenv.Engine()})
	if err != nil {
		t.Fatal(err)
	}
	all, right := int64(0), int64(0)
	for _, k := range kinds {
		n, got := want[fmt.Sprint(k.causes)], int64(0)
		for _, c := range k.causes {
			got += r.Causes[c]
		}
		all += n
		right += min(n, got)
	}
	if r.Different != all || float64(right) < 0.92*float64(all) || all < 500 {
		t.Errorf("%d of %d right: %v, want %v", right, all, r.Causes, want)
	}
	t.Logf("%d of %d right: %v, want %v", right, all, r.Causes, want)
}

// With more differences than are to be explained, some rows are, spread over the file and the same in each run.
func TestSomeRowsAreExplained(t *testing.T) {
	b := newBank(t)
	path := b.values(t, day, false, b.service)
	r, again := b.compare(t, path, 20), b.compare(t, path, 20)
	if r.Explained >= r.Different || r.Explained < 20 || fmt.Sprint(r.Examples) != fmt.Sprint(again.Examples) {
		t.Errorf("%d of %d explained\n%v\n%v", r.Explained, r.Different, r.Examples, again.Examples)
	}
	if r.Examples[len(r.Examples)-1].Row < 50 {
		t.Errorf("only rows at the beginning: %v", r.Examples)
	}
}
