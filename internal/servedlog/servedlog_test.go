package servedlog

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/disktest"
	"github.com/unskew/unskew/internal/logpos"
)

// service has outputs of the given types.
func service(name string, outputs ...plan.Type) *plan.Service {
	s := &plan.Service{
		Name:    name,
		Keys:    []plan.Field{{Name: "user_id", Type: plan.T(plan.Int)}, {Name: "shop", Type: plan.T(plan.String)}},
		Request: []plan.Field{{Name: "amount", Type: plan.T(plan.Double)}, {Name: "shop", Type: plan.T(plan.String)}},
		Views:   []plan.ViewRef{{View: &plan.View{Name: "spend"}, As: "spend"}, {View: &plan.View{Name: "spend"}, As: "receiver"}},
	}
	for i, t := range outputs {
		s.Derived = append(s.Derived, &plan.Feature{Name: fmt.Sprintf("out_%d", i), Type: t})
	}
	s.Fingerprint[0] = byte(len(name))
	return s
}

const noon = plan.EventTime(1735732800000000) // 2025-01-01T12:00:00Z

// rowWith is a row of a service of no outputs but these.
func rowWith(user int64, outputs ...Output) *Row {
	return &Row{
		RequestID: fmt.Sprintf("request %d", user), Number: 3, Caller: "scorer", ReadAt: noon + plan.EventTime(user), AsOf: noon + 1, Latency: 70 * time.Microsecond,
		Keys: []plan.Value{plan.IntValue(user), plan.StringValue("kiosk")}, Request: []plan.Value{plan.DoubleValue(2.5)}, Outputs: outputs,
		Views: []View{
			{Fingerprint: "f00d", Generation: 2, Build: math.MaxUint64, Known: true, Newest: noon - 1, Positions: logpos.Vector{7, 0, math.MaxUint64}, Staleness: time.Second, StalenessKnown: true},
			{Fingerprint: "f00d", Generation: 2, Build: 3},
		},
	}
}

// open returns a log in a new folder, or in that of the configuration, and a stream of it.
func open(t testing.TB, c Config, p *plan.Service) (*Log, *Stream) {
	t.Helper()
	if c.Dir == "" {
		c.Dir = filepath.Join(t.TempDir(), "served")
	}
	if c.Rate == 0 {
		c.Rate = 1
	}
	l := New(c)
	s, err := l.Stream(p)
	if err != nil || s == nil {
		t.Fatal(s, err)
	}
	return l, s
}

// flush does what Run does when rows are to become visible.
func (l *Log) flush() {
	l.write()
	l.finish()
}

// readAll returns the rows in a folder, in the order of the names of their segments.
func readAll(t testing.TB, dir string) (rows []*Row) {
	t.Helper()
	files, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		s, err := Open(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if s.Service != f.Service || !strings.HasPrefix(s.Fingerprint, f.Fingerprint) {
			t.Errorf("%s is of %s %s", f.Path, s.Service, s.Fingerprint)
		}
		for r, err := range s.Rows() {
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, r)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

func users(rows []*Row) (list []int64) {
	for _, r := range rows {
		list = append(list, r.Keys[0].Int())
	}
	slices.Sort(list)
	return list
}

// temporaries returns the incomplete segments in a folder.
func temporaries(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, temporary+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// values are all types, with the values that are most easily changed by being stored.
func values() (types []plan.Type, rows [][]plan.Value) {
	columns := []struct {
		t      plan.Type
		values []plan.Value
	}{
		{plan.T(plan.Bool), []plan.Value{plan.BoolValue(true), plan.BoolValue(false)}},
		{plan.T(plan.Int), []plan.Value{plan.IntValue(math.MinInt64), plan.IntValue(math.MaxInt64)}},
		{plan.T(plan.Uint), []plan.Value{plan.UintValue(math.MaxUint64), plan.UintValue(0)}},
		{plan.T(plan.Double), []plan.Value{plan.DoubleValue(math.NaN()), plan.DoubleValue(math.Copysign(0, -1))}},
		{plan.T(plan.Double), []plan.Value{plan.DoubleValue(math.Inf(-1)), plan.DoubleValue(0.1)}},
		{plan.T(plan.String), []plan.Value{plan.StringValue(""), plan.StringValue("ä\x00")}},
		{plan.T(plan.Bytes), []plan.Value{plan.BytesValue(nil), plan.BytesValue([]byte{0, 0xff})}},
		{plan.T(plan.Timestamp), []plan.Value{plan.TimestampValue(plan.MinTime), plan.TimestampValue(noon)}},
		{plan.T(plan.Duration), []plan.Value{plan.DurationValue(-1), plan.DurationValue(time.Hour)}},
		{plan.ListOf(plan.T(plan.String)), []plan.Value{plan.ListValue(nil), plan.ListValue([]plan.Value{plan.StringValue(""), plan.StringValue("b")})}},
		{plan.MapOf(plan.T(plan.String), plan.T(plan.Double)), []plan.Value{plan.MapValue(nil, nil),
			plan.MapValue([]plan.Value{plan.StringValue("b"), plan.StringValue("a")}, []plan.Value{plan.DoubleValue(math.NaN()), plan.DoubleValue(1)})}},
	}
	rows = make([][]plan.Value, 3)
	for _, c := range columns {
		types = append(types, c.t)
		for i := range rows {
			v := plan.NullValue()
			if i < len(c.values) {
				v = c.values[i]
			}
			rows[i] = append(rows[i], v)
		}
	}
	return types, rows
}

// A row is read as it was written: every type, null, every status, and what else is known of a read.
func TestRowsAreReadAsTheyWereWritten(t *testing.T) {
	types, lists := values()
	l, s := open(t, Config{}, service("fraud_v1", types...))
	statuses := []Output{{Status: "PRESENT"}, {Status: "DEFAULTED", Reason: "EMPTY"}, {Status: "STALE", Reason: "PRESENT"}, {}, {Status: "LOST"}}
	var want []*Row
	for i, list := range lists {
		r := rowWith(int64(i))
		for o, v := range list {
			out := statuses[(i+o)%len(statuses)]
			out.Value = v
			r.Outputs = append(r.Outputs, out)
		}
		want = append(want, r)
	}
	want[1].Caller, want[1].Keys[1], want[1].Request[0] = "", plan.NullValue(), plan.NullValue()
	for i, r := range want {
		if !s.Write(r) {
			t.Fatal("a row was dropped")
		}
		if i == 1 {
			l.write() // the next row is in another row group
		}
	}
	l.finish()
	l.flush()
	got := readAll(t, l.cfg.Dir)
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i, r := range got {
		w := want[i]
		if r.RequestID != w.RequestID || r.Number != w.Number || r.Caller != w.Caller || r.ReadAt != w.ReadAt || r.AsOf != w.AsOf || r.Latency != w.Latency {
			t.Errorf("row %d is %+v, want %+v", i, r, w)
		}
		if !slices.EqualFunc(r.Keys, w.Keys, plan.Value.Equal) || !slices.EqualFunc(r.Request, w.Request, plan.Value.Equal) {
			t.Errorf("row %d: keys %v and request %v", i, r.Keys, r.Request)
		}
		for o := range w.Outputs {
			if a, b := r.Outputs[o], w.Outputs[o]; !a.Value.Equal(b.Value) || a.Status != b.Status || a.Reason != b.Reason {
				t.Errorf("row %d, output %d (%v): %+v, want %+v", i, o, types[o], a, b)
			}
		}
		for v := range w.Views {
			if a, b := r.Views[v], w.Views[v]; !a.Positions.Equal(b.Positions) || a.Generation != b.Generation || a.Build != b.Build || a.Known != b.Known ||
				a.Newest != b.Newest || a.Fingerprint != b.Fingerprint || a.Staleness != b.Staleness || a.StalenessKnown != b.StalenessKnown {
				t.Errorf("row %d, view %d: %+v, want %+v", i, v, a, b)
			}
		}
	}
}

// The metadata of a segment is enough to read it, and says what and when it is.
func TestSegmentsDescribeThemselves(t *testing.T) {
	l, s := open(t, Config{Secret: []byte("secret")}, service("fraud_v1", plan.T(plan.Int)))
	for _, user := range []int64{5, 2, 9} {
		s.Write(rowWith(user, Output{}))
	}
	l.flush()
	files, err := List(l.cfg.Dir)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	g, err := Open(files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if g.Service != "fraud_v1" || g.Fingerprint != s.fingerprint || g.First != noon+2 || g.Last != noon+9 || !g.KeysHashed ||
		!slices.Equal(g.Views, []string{"spend", "receiver"}) || len(g.Keys) != 2 || g.Keys[0].Name != "user_id" || len(g.Request) != 1 || g.Outputs[0].Name != "out_0" {
		t.Errorf("%+v", g)
	}
}

// With a secret, keys are HMACs: equal ones are equal, and nothing of a key is in a file.
func TestKeysAreHidden(t *testing.T) {
	p := service("fraud_v1")
	l, s := open(t, Config{Secret: []byte("secret")}, p)
	rows := []*Row{rowWith(1), rowWith(1), rowWith(2)}
	rows[2].Keys[1] = plan.NullValue()
	for _, r := range rows {
		s.Write(r)
	}
	l.flush()
	got := readAll(t, l.cfg.Dir)
	if a, b, c := got[0].Keys[0].Str(), got[1].Keys[0].Str(), got[2].Keys[0].Str(); a != b || a == c || len(a) != 64 || !got[2].Keys[1].IsNull() {
		t.Errorf("%v %v %v", a, b, c)
	}
	_, other := open(t, Config{Secret: []byte("another")}, p)
	if got[0].Keys[0].Equal(other.log.hidden(plan.IntValue(1))) {
		t.Error("the secret does not matter")
	}
	if !rows[0].Keys[0].Equal(plan.IntValue(1)) {
		t.Error("the caller's keys were changed")
	}
	paths, _ := filepath.Glob(filepath.Join(l.cfg.Dir, "*", "*"+extension))
	if text, err := os.ReadFile(paths[0]); err != nil || bytes.Contains(text, []byte("kiosk")) {
		t.Error("a key can be read", err)
	}
}

// A queue that is full drops rows at once, with nobody to empty it, and counts them; room that is given back is
// used again.
func TestP20_AFullQueueDropsWithoutWaiting(t *testing.T) {
	l, s := open(t, Config{QueueBytes: 10 << 10}, service("fraud_v1"))
	written := 0
	for written < 1000 && s.Write(rowWith(int64(written))) {
		written++
	}
	for range 10 {
		if s.Write(rowWith(0)) {
			t.Error("a row was taken by a full queue")
		}
	}
	if n := l.metrics.droppedRows(dropQueue); n != 11 || written < 10 || l.queuedBytes() > 10<<10 {
		t.Errorf("%d rows were written and %d dropped; the queue has %v bytes", written, n, l.queuedBytes())
	}
	l.flush()
	if l.queuedBytes() != 0 || !s.Write(rowWith(-1)) {
		t.Error("the queue is still full")
	}
	l.flush()
	if got := users(readAll(t, l.cfg.Dir)); len(got) != written+1 || got[0] != -1 {
		t.Errorf("%d rows, want %d", len(got), written+1)
	}
}

// A segment ends when it has its size.
func TestSegmentsEndBySize(t *testing.T) {
	l, s := open(t, Config{SegmentBytes: 64 << 10}, service("fraud_v1"))
	random := rand.New(rand.NewPCG(1, 2))
	for user := range 3 {
		long := make([]byte, 128<<10)
		for i := range long {
			long[i] = byte(random.Uint32())
		}
		r := rowWith(int64(user))
		r.RequestID = string(long)
		s.Write(r)
		l.write()
	}
	if files, err := List(l.cfg.Dir); err != nil || len(files) != 3 || len(temporaries(t, l.cfg.Dir)) != 0 {
		t.Errorf("%v %v", files, err)
	}
	if n := l.metrics.segments.Load(); n != 3 || l.metrics.rows.Load() != 3 || l.metrics.bytes.Load() == 0 {
		t.Errorf("%d segments", n)
	}
}

// Rows are visible after the configured time, and when the server ends; what comes then is counted.
func TestRowsBecomeVisible(t *testing.T) {
	l, s := open(t, Config{Visible: 10 * time.Millisecond}, service("fraud_v1"))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	s.Write(rowWith(1))
	for deadline := time.Now().Add(10 * time.Second); !slices.Equal(users(readAll(t, l.cfg.Dir)), []int64{1}); {
		if time.Now().After(deadline) {
			t.Fatal("the row does not become visible")
		}
	}
	s.Write(rowWith(2))
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := users(readAll(t, l.cfg.Dir)); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("in the end: %v", got)
	}
	if s.Write(rowWith(3)) || l.metrics.droppedRows(dropStopped) != 1 || len(temporaries(t, l.cfg.Dir)) > 0 {
		t.Error("a row was taken when nobody writes it, or a segment was not completed")
	}
}

// Each service has its own segments, also under another fingerprint.
func TestASegmentIsOfOneFingerprint(t *testing.T) {
	l, s := open(t, Config{Rates: map[string]float64{"quiet": 0}}, service("a"))
	changed := service("a", plan.T(plan.Int))
	changed.Fingerprint[0] = 9
	other, err := l.Stream(changed)
	if err != nil {
		t.Fatal(err)
	}
	if quiet, err := l.Stream(service("quiet")); quiet != nil || err != nil {
		t.Errorf("a service with the rate 0 has a stream: %v", err)
	}
	s.Write(rowWith(1))
	other.Write(rowWith(2, Output{Value: plan.IntValue(4), Status: "PRESENT"}))
	s.Write(rowWith(3))
	l.flush()
	files, err := List(l.cfg.Dir)
	if err != nil || len(files) != 2 || files[0].Fingerprint == files[1].Fingerprint {
		t.Fatal(files, err)
	}
	if got := users(readAll(t, l.cfg.Dir)); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Error(got)
	}
}

// Old segments are removed with their folders; what others have put there is not.
func TestOldSegmentsAreRemoved(t *testing.T) {
	now := time.Date(2025, 1, 1, 12, 0, 0, 0, time.UTC)
	l, s := open(t, Config{Retain: 48 * time.Hour, Clock: func() time.Time { return now }}, service("fraud_v1"))
	for day := range 4 {
		s.Write(rowWith(int64(day)))
		l.flush()
		now = now.Add(24 * time.Hour)
	}
	notes := filepath.Join(l.cfg.Dir, "2025-01-01", "notes.txt")
	if err := os.WriteFile(notes, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Hour) // the second segment is 71 hours old, the third 47
	l.clean()
	if got := users(readAll(t, l.cfg.Dir)); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("the segments of days %v are left", got)
	}
	if _, err := os.Stat(notes); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(l.cfg.Dir, "2025-01-02")); !os.IsNotExist(err) {
		t.Errorf("an empty folder is left: %v", err)
	}
}

// Several servers write to one folder and remove old segments of it at the same time.
func TestSeveralServersShareAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "served")
	const servers, rows = 3, 200
	ctx, stop := context.WithCancel(t.Context())
	var running, writing sync.WaitGroup
	for server := range servers {
		l, s := open(t, Config{Dir: dir, SegmentBytes: 10 << 10, QueueBytes: 1 << 20, Visible: time.Millisecond}, service("fraud_v1"))
		running.Go(func() {
			if err := l.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		for part := range 2 {
			writing.Go(func() {
				for i := range rows / 2 {
					if !s.Write(rowWith(int64(server*rows + part*rows/2 + i))) {
						t.Error("a row was dropped")
					}
					l.clean()
				}
			})
		}
	}
	writing.Wait()
	stop()
	running.Wait()
	got := users(readAll(t, dir))
	if len(got) != servers*rows {
		t.Fatalf("%d rows, want %d", len(got), servers*rows)
	}
	for i, user := range got {
		if user != int64(i) {
			t.Fatalf("row %d is of user %d", i, user)
		}
	}
	if left := temporaries(t, dir); len(left) > 0 {
		t.Error(left)
	}
}

// On a full disk, rows are dropped and counted, and it is logged once. When there is room again, the log goes on.
func TestP9_AFullDiskDropsServedRows(t *testing.T) {
	dir := disktest.Small(t, 1<<20)
	var text bytes.Buffer
	l, s := open(t, Config{Dir: filepath.Join(dir, "served"), Log: slog.New(slog.NewTextHandler(&text, nil))}, service("fraud_v1"))
	s.Write(rowWith(1))
	l.flush()
	free := disktest.Fill(t, dir)
	for range 3 {
		s.Write(rowWith(2))
		s.Write(rowWith(3))
		l.flush()
	}
	if n := l.metrics.droppedRows(dropDisk); n != 6 || len(temporaries(t, l.cfg.Dir)) > 0 {
		t.Errorf("%d rows were dropped; left: %v", n, temporaries(t, l.cfg.Dir))
	}
	if n := strings.Count(text.String(), "cannot be written"); n != 1 {
		t.Errorf("logged %d times: %s", n, &text)
	}
	free()
	s.Write(rowWith(4))
	l.flush()
	if got := users(readAll(t, l.cfg.Dir)); !slices.Equal(got, []int64{1, 4}) || !strings.Contains(text.String(), "is written again") {
		t.Errorf("%v, log: %s", got, &text)
	}
}

// The same where the folder cannot be made.
func TestAFolderThatCannotBeMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "served")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, s := open(t, Config{Dir: dir}, service("fraud_v1"))
	s.Write(rowWith(1))
	l.clean()
	l.flush()
	if n := l.metrics.droppedRows(dropDisk); n != 1 || l.queuedBytes() != 0 {
		t.Errorf("%d rows were dropped, %v bytes are in the queue", n, l.queuedBytes())
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	s.Write(rowWith(2))
	l.flush()
	if got := users(readAll(t, dir)); !slices.Equal(got, []int64{2}) {
		t.Error(got)
	}
}

// A file that is damaged, or none of ours, is an error that names it.
func TestDamagedSegments(t *testing.T) {
	l, s := open(t, Config{}, service("fraud_v1"))
	s.Write(rowWith(1))
	l.flush()
	files, err := List(l.cfg.Dir)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, whole[:len(whole)/2], bytes.Replace(whole, []byte(`"format":1`), []byte(`"format":9`), 1)} {
		if err := os.WriteFile(files[0].Path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if g, err := Open(files[0].Path); err == nil || !strings.Contains(err.Error(), files[0].Path) {
			t.Errorf("%d bytes: %v %v", len(bad), g, err)
		}
	}
}

// A flipped bit is an error, or in a part of the file that does not matter: no value is read as another one.
func TestFlippedBitsAreNoticed(t *testing.T) {
	types, lists := values()
	l, s := open(t, Config{}, service("fraud_v1", types...))
	for i := range 50 {
		r := rowWith(int64(i))
		for o, v := range lists[i%len(lists)] {
			r.Outputs = append(r.Outputs, Output{Value: v, Status: []string{"PRESENT", "EMPTY", "LOST"}[(i+o)%3]})
		}
		s.Write(r)
	}
	l.flush()
	files, err := List(l.cfg.Dir)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	path := files[0].Path
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := contents(path)
	random, noticed := rand.New(rand.NewPCG(3, 4)), 0
	for range *flips {
		bit := random.IntN(8 * len(whole))
		whole[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		switch got := contents(path); {
		case got == "":
			noticed++
		case got != want:
			t.Fatalf("bit %d of %d: another content is read", bit, 8*len(whole))
		}
		whole[bit/8] ^= 1 << (bit % 8)
	}
	t.Logf("%d of %d were noticed", noticed, *flips)
}

var flips = flag.Int("flips", 150, "how many bits TestFlippedBitsAreNoticed flips")

// contents is what is read of a segment, "" if it cannot be read.
func contents(path string) string {
	s, err := Open(path)
	if err != nil {
		return ""
	}
	defer s.Close()
	b := fmt.Appendf(nil, "%s %s %v %v %v %v %v\n", s.Service, s.Fingerprint, s.Keys, s.Outputs, s.Views, s.First, s.Last)
	stream := &Stream{log: &Log{}, service: s.Service, fingerprint: s.Fingerprint}
	for r, err := range s.Rows() {
		if err != nil {
			return ""
		}
		b = stream.append(b, r)
	}
	return string(b)
}
