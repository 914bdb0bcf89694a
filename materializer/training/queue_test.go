package training

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/unskew/unskew/internal/arrowparquet"
	"github.com/unskew/unskew/internal/disktest"
)

// bench is a queue whose builds wait for the test to tell them how to end.
type bench struct {
	Config
	now     atomic.Int64 // seconds
	started chan string  // names of training sets whose builds have begun
	finish  chan error   // the result of each build
	queue   *Queue
	done    chan error
	stop    context.CancelFunc
}

func newBench(t *testing.T) *bench {
	b := &bench{started: make(chan string, 100), finish: make(chan error)}
	b.Config = Config{
		Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), MaxQueued: 3, MaxSpine: 1 << 20, MaxBatch: 4 << 20, Keep: time.Hour,
		Clock: func() time.Time { return time.Unix(b.now.Load(), 0) },
		Arrow: Arrow{Write: arrowparquet.Write, Read: arrowparquet.Read},
		Check: func(s Spec) error {
			if s.TrainingSet == "" && s.Service == "" {
				return &InvalidError{"nothing is named"}
			}
			return nil
		},
		Build: b.build,
	}
	b.open(t)
	return b
}

func (b *bench) build(ctx context.Context, s Spec, _, out string, progress func(Progress)) error {
	b.started <- s.TrainingSet
	progress(Progress{Phase: "spine", Done: 1, Total: 4})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-b.finish:
		if err == nil {
			err = writeSet(out)
		}
		return err
	}
}

func (b *bench) open(t *testing.T) {
	t.Helper()
	q, err := Open(b.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b.queue, b.stop, b.done = q, stop, make(chan error, 1)
	go func() { b.done <- q.Run(ctx) }()
	t.Cleanup(func() { stop(); <-b.done; b.done <- nil })
}

// restart stops the queue as a stopping server does, and opens its directory again.
func (b *bench) restart(t *testing.T) {
	t.Helper()
	b.stop()
	if err := <-b.done; err != nil {
		t.Fatal(err)
	}
	b.done <- nil
	b.open(t)
}

func (b *bench) create(t *testing.T, id, set string) Job {
	t.Helper()
	j, err := b.queue.Create(id, Spec{TrainingSet: set})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// ended waits until a job has ended.
func (b *bench) ended(t *testing.T, id string) Job {
	t.Helper()
	for {
		j, err := b.queue.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if j.State.Ended() {
			return j
		}
		runtime.Gosched()
	}
}

const setRows = 20_000

// writeSet writes a result: one part with the numbers from 0, in small row groups.
func writeSet(out string) error {
	if err := os.MkdirAll(out, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "manifest.json"), fmt.Appendf(nil, `{"files": [{"name": "data.parquet", "rows": %d}]}`, setRows), 0o600); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(out, "data.parquet"))
	if err != nil {
		return err
	}
	rec := numbers(setRows)
	w, err := pqarrow.NewFileWriter(rec.Schema(), f, parquet.NewWriterProperties(parquet.WithMaxRowGroupLength(3000)), pqarrow.DefaultWriterProps())
	if err != nil {
		return err
	}
	return errors.Join(w.Write(rec), w.Close())
}

// period is more rows than any test reads back, and few enough values to compress well.
const period = 50_000

func numbers(n int) arrow.RecordBatch {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.Reserve(n)
	for i := range n {
		b.UnsafeAppend(int64(i % period))
	}
	return array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64}}, nil), []arrow.Array{b.NewArray()}, int64(n))
}

func TestJobsRunInOrder(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", "first")
	if got := <-b.started; got != "first" {
		t.Fatal(got)
	}
	b.now.Add(1)
	b.create(t, "b", "second")
	b.now.Add(1)
	b.create(t, "c", "third")
	if j, _ := b.queue.Get("a"); j.State != Running || j.Progress.Phase != "spine" && j.Progress.Phase != "" {
		t.Errorf("%+v", j)
	}
	b.finish <- errors.New("no such column")
	b.finish <- nil
	b.finish <- nil
	if j := b.ended(t, "a"); j.State != Failed || j.Error != "no such column" {
		t.Errorf("%+v", j)
	}
	if j := b.ended(t, "c"); j.State != Succeeded || j.Expires != j.Ended.Add(time.Hour) {
		t.Errorf("%+v", j)
	}
	if first, second := <-b.started, <-b.started; first != "second" || second != "third" {
		t.Error(first, second)
	}
	var ids []string
	for _, j := range b.queue.List() {
		ids = append(ids, j.ID)
	}
	if got := strings.Join(ids, " "); got != "c b a" {
		t.Errorf("listed %s", got)
	}
}

func TestCreateIsIdempotent(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", "set")
	<-b.started
	b.create(t, "a", "set")
	if _, err := b.queue.Create("a", Spec{TrainingSet: "other"}); !errors.Is(err, ErrConflict) {
		t.Error(err)
	}
	b.finish <- nil
	want := b.ended(t, "a")
	if got := b.create(t, "a", "set"); got != want || len(b.queue.List()) != 1 {
		t.Errorf("%+v, want %+v", got, want)
	}
	made, err := b.queue.Create("", Spec{TrainingSet: "set"})
	if err != nil || made.ID == "" || made.ID == "a" {
		t.Errorf("%+v, %v", made, err)
	}
	<-b.started
	b.finish <- nil
}

func TestQueueIsBounded(t *testing.T) {
	b := newBench(t)
	b.create(t, "running", "set")
	<-b.started
	for i := range 3 {
		b.create(t, fmt.Sprint(i), "set")
	}
	if _, err := b.queue.Create("one-too-many", Spec{TrainingSet: "set"}); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "3 are waiting") {
		t.Error(err)
	}
	var bad *InvalidError
	for _, c := range []struct {
		id   string
		spec Spec
	}{{"a/b", Spec{TrainingSet: "set"}}, {strings.Repeat("x", 129), Spec{TrainingSet: "set"}}, {"x", Spec{}}, {"..", Spec{TrainingSet: "set"}}} {
		if _, err := b.queue.Create(c.id, c.spec); !errors.As(err, &bad) {
			t.Errorf("%q: %v", c.id, err)
		}
	}
}

func TestCancel(t *testing.T) {
	b := newBench(t)
	b.create(t, "running", "set")
	<-b.started
	b.create(t, "waiting", "set")
	for _, id := range []string{"waiting", "running"} {
		if _, err := b.queue.Cancel(id); err != nil {
			t.Fatal(err)
		}
		if j := b.ended(t, id); j.State != Canceled || j.Error != "" {
			t.Errorf("%+v", j)
		}
	}
	if j, err := b.queue.Cancel("running"); err != nil || j.State != Canceled {
		t.Errorf("%+v, %v", j, err)
	}
	if _, err := b.queue.Cancel("nobody"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestJobsSurviveARestart(t *testing.T) {
	b := newBench(t)
	b.create(t, "done", "set")
	<-b.started
	b.finish <- nil
	want := b.ended(t, "done")
	b.create(t, "running", "running")
	<-b.started
	b.now.Add(1)
	b.create(t, "waiting", "waiting")
	// The rest of a job whose creation crashed before it was acknowledged.
	if err := os.Mkdir(b.queue.dir("unacknowledged"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.restart(t)
	if got, _ := b.queue.Get("done"); !got.Ended.Equal(want.Ended) || got.State != Succeeded {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, id := range []string{"running", "waiting"} {
		if got := <-b.started; got != id {
			t.Errorf("started %s", got)
		}
		b.finish <- nil
		if j := b.ended(t, id); j.State != Succeeded {
			t.Errorf("%+v", j)
		}
	}
	if _, err := os.Stat(b.queue.dir("unacknowledged")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// crash leaves the directory as a process does that is killed while it builds a job, and opens it again.
func (b *bench) crash(t *testing.T, id string) {
	t.Helper()
	running, err := os.ReadFile(filepath.Join(b.queue.dir(id), jobFile))
	if err != nil {
		t.Fatal(err)
	}
	b.stop()
	if err := <-b.done; err != nil {
		t.Fatal(err)
	}
	b.done <- nil
	if err := os.WriteFile(filepath.Join(b.queue.dir(id), jobFile), running, 0o600); err != nil {
		t.Fatal(err)
	}
	b.open(t)
}

// A job that ends its process every time is not begun for ever; one that stopping servers interrupt is.
func TestJobsThatEndTheServerFail(t *testing.T) {
	b := newBench(t)
	b.create(t, "patient", "set")
	for range 2 * mostStarts {
		<-b.started
		b.restart(t)
	}
	<-b.started
	b.finish <- nil
	if j := b.ended(t, "patient"); j.State != Succeeded {
		t.Errorf("%+v", j)
	}
	b.create(t, "deadly", "set")
	for range mostStarts {
		<-b.started
		if err := os.MkdirAll(b.queue.out("deadly"), 0o700); err != nil {
			t.Fatal(err)
		}
		b.crash(t, "deadly")
	}
	if j := b.ended(t, "deadly"); j.State != Failed || !strings.Contains(j.Error, "ended 3 times") {
		t.Errorf("%+v", j)
	}
	b.restart(t)
	if j := b.ended(t, "deadly"); j.State != Failed {
		t.Errorf("after a restart: %+v", j)
	}
	if _, err := os.Stat(b.queue.out("deadly")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what it had written is still there: %v", err)
	}
}

func TestKeptJobsAndSpinesAreBounded(t *testing.T) {
	b := newBench(t)
	b.queue.cfg.MaxKept, b.queue.cfg.MaxSpines = 2, 100
	for _, id := range []string{"a", "b"} {
		b.create(t, id, "set")
		<-b.started
		b.finish <- nil
		b.ended(t, id)
	}
	if _, err := b.queue.Create("c", Spec{TrainingSet: "set"}); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "2 are kept") {
		t.Error(err)
	}
	if _, _, err := b.queue.StoreSpine(stream(t, 3)); err != nil {
		t.Error(err)
	}
	if _, _, err := b.queue.StoreSpine(stream(t, 4)); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "at most 100 are kept") {
		t.Error(err)
	}
}

// TestResultsAreBounded: of results with too many bytes those that ended first go, and never one that is
// being read.
func TestResultsAreBounded(t *testing.T) {
	b := newBench(t)
	run := func(id string) {
		t.Helper()
		b.now.Add(1)
		b.create(t, id, "set")
		<-b.started
		b.finish <- nil
		b.ended(t, id)
	}
	kept := func(when string, want ...string) {
		t.Helper()
		var got []string
		for _, j := range b.queue.List() {
			if _, err := os.Stat(b.queue.out(j.ID)); err == nil {
				got = append(got, j.ID)
			}
		}
		slices.Sort(got)
		if dirs, err := os.ReadDir(b.queue.jobsDir()); err != nil || !slices.Equal(got, want) || len(dirs) != len(want) {
			t.Errorf("%s: %q are kept, in %d folders (%v), want %q", when, got, len(dirs), err, want)
		}
	}
	run("d") // whose id is not in the order of time
	one := b.queue.Results().Bytes
	if one == 0 {
		t.Fatal("a result has no bytes")
	}
	b.MaxResults = 2*one + one/2
	b.restart(t)
	run("c")
	kept("two", "c", "d")
	run("b")
	kept("three", "b", "c")
	if _, err := b.queue.Get("d"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "made room for newer ones") {
		t.Error(err)
	}
	run("d")
	kept("the first again", "b", "d")
	err := b.queue.Read(context.Background(), "b", "", 0, io.Discard, func(next int64) error {
		if next == setRows {
			run("a")
			kept("while the oldest is read", "a", "b")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if r := b.queue.Results(); r.Bytes != 2*one || r.Limit != b.MaxResults || r.Removed != 3 {
		t.Errorf("%+v", r)
	}
	b.MaxResults = one
	b.restart(t)
	kept("after a restart with a lower limit", "a")
	b.MaxResults = one - 1
	b.restart(t)
	kept("after one with a limit that none keeps")
	b.now.Add(1)
	b.create(t, "large", "set")
	<-b.started
	b.finish <- nil
	if j := b.ended(t, "large"); j.State != Failed || !strings.Contains(j.Error, fmt.Sprintf("its result has %d bytes, and the server keeps at most %d", one, one-1)) {
		t.Errorf("%+v", j)
	}
	if _, err := os.Stat(b.queue.out("large")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// On a full disk a job or a spine is refused for that reason, and leaves nothing.
func TestP9_AFullDiskRefusesJobsAndSpines(t *testing.T) {
	b := newBench(t)
	b.Dir = disktest.Small(t, 1<<20)
	b.restart(t)
	free := disktest.Fill(t, b.Dir)
	if _, err := b.queue.Create("a", Spec{TrainingSet: "set"}); !errors.Is(err, ErrNoRoom) {
		t.Error(err)
	}
	if _, _, err := b.queue.StoreSpine(stream(t, 20_000)); !errors.Is(err, ErrNoRoom) {
		t.Error(err)
	}
	for _, dir := range []string{b.queue.spinesDir(), b.queue.jobsDir()} {
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%v are left in %s, %v", left, dir, err)
		}
	}
	free()
	b.create(t, "a", "set")
	<-b.started
	b.finish <- nil
	if j := b.ended(t, "a"); j.State != Succeeded {
		t.Errorf("with room again: %+v", j)
	}
}

func TestExpiredJobsAndSpinesAreRemoved(t *testing.T) {
	b := newBench(t)
	name, _, err := b.queue.StoreSpine(stream(t, 3))
	if err != nil {
		t.Fatal(err)
	}
	b.create(t, "a", "set")
	<-b.started
	b.finish <- nil
	b.ended(t, "a")
	b.now.Store(time.Now().Unix() + 2*3600)
	b.queue.expire()
	if _, err := b.queue.Get("a"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := os.Stat(b.queue.dir("a")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	var bad *InvalidError
	if _, err := b.queue.Create("b", Spec{Service: "s", Spine: name}); !errors.As(err, &bad) || !strings.Contains(err.Error(), "upload it again") {
		t.Error(err)
	}
}

func TestProgressHasARate(t *testing.T) {
	b := newBench(t)
	j := &Job{}
	b.queue.progress(j, Progress{Phase: "write", Done: 0, Total: 100})
	b.now.Add(2)
	b.queue.progress(j, Progress{Phase: "write", Done: 50, Total: 100})
	if p := j.Progress; p.Rate != 25 || p.Left != 2*time.Second {
		t.Errorf("%+v", p)
	}
}

// stream returns an Arrow IPC stream with n rows.
func stream(t *testing.T, n int) io.Reader {
	t.Helper()
	var buf bytes.Buffer
	rec := numbers(n)
	w := ipc.NewWriter(&buf, ipc.WithSchema(rec.Schema()), ipc.WithZstd())
	if err := errors.Join(w.Write(rec), w.Close()); err != nil {
		t.Fatal(err)
	}
	return &buf
}

func TestSpinesAreNamedByTheirBytes(t *testing.T) {
	b := newBench(t)
	one, rows, err := b.queue.StoreSpine(stream(t, 3))
	if err != nil || rows != 3 {
		t.Fatal(rows, err)
	}
	again, _, err := b.queue.StoreSpine(stream(t, 3))
	other, _, err2 := b.queue.StoreSpine(stream(t, 4))
	if again != one || other == one || err != nil || err2 != nil {
		t.Error(one, again, other, err, err2)
	}
	if _, err := b.queue.Create("a", Spec{Service: "s", Spine: one}); err != nil {
		t.Error(err)
	}
	<-b.started
	b.finish <- nil
}

func TestInvalidSpines(t *testing.T) {
	b := newBench(t)
	var bad *InvalidError
	for want, r := range map[string]io.Reader{
		"not an Arrow IPC stream": strings.NewReader("customer_id,amount\n"),
		"1048576 bytes":           io.LimitReader(repeat(stream(t, 10)), 1<<21),
		"limit; send smaller":     stream(t, 1<<20),
	} {
		if _, _, err := b.queue.StoreSpine(r); !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	broken := errors.New("the network is gone")
	if _, _, err := b.queue.StoreSpine(io.MultiReader(io.LimitReader(stream(t, 3), 100), failing{broken})); !errors.Is(err, broken) {
		t.Error(err)
	}
	if left, err := os.ReadDir(b.queue.spinesDir()); err != nil || len(left) != 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// repeat reads r and then zeros.
func repeat(r io.Reader) io.Reader { return io.MultiReader(r, zeros{}) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestReadResumesFromAnyRow(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", "set")
	<-b.started
	if err := b.queue.Read(t.Context(), "a", "", 0, io.Discard, nil); !errors.Is(err, ErrNotReady) {
		t.Error(err)
	}
	b.finish <- nil
	b.ended(t, "a")
	for _, from := range []int64{0, 1, 2999, 3000, 8192, setRows - 1, setRows} {
		var buf bytes.Buffer
		next := from
		err := b.queue.Read(t.Context(), "a", "data", from, &buf, func(n int64) error { next = n; return nil })
		if err != nil || next != setRows {
			t.Fatalf("from %d: %v, next %d", from, err, next)
		}
		r, err := ipc.NewReader(&buf)
		if err != nil {
			t.Fatal(err)
		}
		want := from
		for r.Next() {
			for _, x := range r.RecordBatch().Column(0).(*array.Int64).Int64Values() {
				if x != want {
					t.Fatalf("from %d: %d, want %d", from, x, want)
				}
				want++
			}
		}
		if want != setRows {
			t.Errorf("from %d: read to %d", from, want)
		}
	}
	var bad *InvalidError
	for _, c := range []struct {
		part string
		from int64
	}{{"train", 0}, {"../data", 0}, {"data", setRows + 1}} {
		if err := b.queue.Read(t.Context(), "a", c.part, c.from, io.Discard, nil); !errors.As(err, &bad) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	gone := errors.New("the client is gone")
	if err := b.queue.Read(t.Context(), "a", "", 0, io.Discard, func(int64) error { return gone }); !errors.Is(err, gone) {
		t.Error(err)
	}
}
