package archive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/logtest"
	"github.com/unskew/unskew/internal/eventlog/pebble"
	"github.com/unskew/unskew/internal/eventlog/redis"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/internal/redistest"
)

// eager archives and trims whatever it can after every third append.
type eager struct {
	*Log
	mu    sync.Mutex
	calls int
}

func (l *eager) Append(ctx context.Context, shard string, entries []eventlog.Entry) ([]eventlog.Result, error) {
	results, err := l.Log.Append(ctx, shard, entries)
	if err != nil || len(results) == 0 || !l.mu.TryLock() {
		return results, err
	}
	defer l.mu.Unlock()
	if l.calls++; l.calls%3 != 1 {
		return results, nil
	}
	return results, l.retain(ctx, shard)
}

func (l *eager) retain(ctx context.Context, shard string) error {
	if len(shard) > 50 {
		return nil // is no name of a file
	}
	if _, err := l.Archive(ctx, shard, plan.Never); err != nil {
		return err
	}
	end, err := l.End(ctx, shard)
	if err != nil || end < 2 {
		return err
	}
	files, err := l.Files(ctx, shard)
	if err != nil || len(files) == 0 {
		return err
	}
	return l.Trim(ctx, shard, min(end-1, files[len(files)-1].Last))
}

// A log whose records are archived and trimmed at once is, for everyone who appends and reads, the log that
// never is: it passes the suite of logs.
func TestP18_ConformanceWithAnArchive(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		logtest.Run(t, func(t *testing.T) logtest.Storage {
			fs, dir := vfs.NewCrashableMem(), t.TempDir()
			return logtest.Storage{
				Open: func(t *testing.T, clock eventlog.Clock) eventlog.Log {
					l, err := pebble.Open("log", pebble.Options{FS: fs, Clock: clock})
					if err != nil {
						t.Fatal(err)
					}
					return &eager{Log: Over(l, dir)}
				},
				Archived: true,
			}
		})
	})
	t.Run("redis", func(t *testing.T) {
		if testing.Short() {
			t.Skip("the archive treats both logs alike; this runs without -short")
		}
		server := redistest.Start(t)
		storages := 0
		logtest.Run(t, func(t *testing.T) logtest.Storage {
			storages++
			namespace, dir := fmt.Sprint("storage-", storages), t.TempDir()
			return logtest.Storage{
				Open: func(t *testing.T, clock eventlog.Clock) eventlog.Log {
					l, err := redis.Open(context.Background(), redis.Options{
						Options: redisconn.Options{Addresses: []string{server.Address}, Namespace: namespace}, Clock: clock,
					})
					if err != nil {
						t.Fatal(err)
					}
					return &eager{Log: Over(l, dir)}
				},
				Archived: true,
			}
		})
	})
}

// fixture is a log with records, of which the first 30 are archived in three files, and the first 20
// trimmed.
func fixture(t *testing.T, salt string) *Log {
	t.Helper()
	now := plan.EventTime(0)
	inner, err := pebble.Open("log", pebble.Options{FS: vfs.NewMem(), Clock: func() plan.EventTime { return now }})
	if err != nil {
		t.Fatal(err)
	}
	l := Over(inner, t.TempDir())
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range 40 {
		if now++; i > 0 && i%10 == 0 && i <= 30 {
			if written, err := l.Archive(t.Context(), "s", now); err != nil || len(written) != 1 {
				t.Fatal(written, err)
			}
		}
		e := eventlog.Entry{ID: fmt.Sprint(i / 2), Payload: fmt.Append(nil, salt, i), Body: []byte("b"), Late: &eventlog.Late{}}
		if i%2 == 1 {
			e.Late.Fields = []eventlog.Field{{Name: "f", Value: []byte(salt)}}
		}
		if _, err := l.Append(t.Context(), "s", []eventlog.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Trim(t.Context(), "s", 20); err != nil {
		t.Fatal(err)
	}
	return l
}

// What is read is what was appended, in pages of any size, wherever they begin.
func TestP18_ArchiveAndLogAreOneHistory(t *testing.T) {
	l := fixture(t, "x")
	whole, err := l.Read(t.Context(), "s", 0, 100)
	if err != nil || len(whole) != 40 {
		t.Fatal(len(whole), err)
	}
	for i, r := range whole {
		if r.Position != eventlog.Position(i+1) || r.Appended != plan.EventTime(i+1) || string(r.Payload) != fmt.Sprint("x", i) || len(r.Versions) != 2*(i%2) {
			t.Fatalf("record %d is %+v", i, r)
		}
	}
	for after := range 41 {
		for _, limit := range []int{1, 7, 10, 100} {
			got, err := l.Read(t.Context(), "s", eventlog.Position(after), limit)
			want := whole[after:min(40, after+limit)]
			if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Fatalf("after %d, %d: %d records, %v", after, limit, len(got), err)
			}
		}
	}
	if written, err := l.Archive(t.Context(), "s", 36); err != nil || len(written) != 1 || written[0].First != 31 || written[0].Last != 35 {
		t.Errorf("archived %+v, %v", written, err)
	}
	if written, err := l.Archive(t.Context(), "s", 36); err != nil || len(written) != 0 {
		t.Errorf("archived %+v again, %v", written, err)
	}
	whole[3].Payload[0], whole[3].Versions[1].Fields[0].Value[0] = '!', '!' // are the caller's
	if again, err := l.Read(t.Context(), "s", 3, 1); err != nil || string(again[0].Payload) != "x3" || string(again[0].Versions[1].Fields[0].Value) != "x" {
		t.Errorf("%+v, %v", again, err)
	}
}

// An archive that is not whole, or not of the log, is an error that names the file and what to do, and
// nothing is read past it or trimmed [p18].
func TestP18_ArchivesThatAreNotWhole(t *testing.T) {
	first, second, third := fileName(1, 10), fileName(11, 20), fileName(21, 30)
	move := func(from, to string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	change := func(name string, change func(b []byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), change(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	other := fixture(t, "y")
	foreign := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			b, err := os.ReadFile(filepath.Join(other.Dir("s"), name))
			if err != nil {
				t.Fatal(err)
			}
			change(name, func([]byte) []byte { return b })(t, dir)
		}
	}
	for _, c := range []struct {
		what  string
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		{"first missing", move(first, ".x"), []string{"1 to 10", first, "restore"}},
		{"last that was trimmed is missing", move(second, ".x"), []string{"11 to 20", second, "restore"}},
		{"all missing", func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}, []string{"1 to 20", "restore"}},
		{"truncated", change(first, func(b []byte) []byte { return b[:len(b)-9] }), []string{first, "damaged", "restore"}},
		{"empty", change(second, func([]byte) []byte { return nil }), []string{second, "damaged", "restore"}},
		{"changed", change(second, func(b []byte) []byte { b[100] ^= 0x10; return b }), []string{second, "damaged", "restore"}},
		{"no archive", change(second, func([]byte) []byte { return []byte("hello") }), []string{second, "restore"}},
		{"renamed", move(second, fileName(11, 19)), []string{fileName(11, 19), second}},
		{"overlapping", change(second, func(b []byte) []byte { return b }), nil},
		{"another file", move(third, "x.parquet"), []string{"x.parquet", "move it away"}},
		{"foreign first", foreign(first), []string{"another log", second}},
		{"foreign last", foreign(second), []string{second, "another log"}},
		{"all foreign", func(t *testing.T, dir string) {
			for _, name := range []string{first, second, third} {
				foreign(name)(t, dir)
			}
		}, []string{second, "another log"}},
		{"foreign and not trimmed", foreign(third), []string{third, "another log"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := fixture(t, "x")
			if c.what == "overlapping" {
				before := mustRead(t, l, 9, 1)[0]
				b, err := encode("s", before.Mark(), mustRead(t, l, 10, 5))
				if err == nil {
					err = os.WriteFile(filepath.Join(l.Dir("s"), fileName(11, 15)), b, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				c.want = []string{fileName(11, 15), second, "move one of them away"}
			} else {
				c.spoil(t, l.Dir("s"))
			}
			l.shards = map[string]*shard{} // as after a restart
			_, readErr := l.Read(t.Context(), "s", 9, 11)
			_, archiveErr := l.Archive(t.Context(), "s", plan.Never)
			for what, err := range map[string]error{"Read": readErr, "Archive": archiveErr, "Trim": l.Trim(t.Context(), "s", 25)} {
				if err == nil {
					t.Errorf("%s took no notice", what)
					continue
				}
				for _, part := range c.want {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%s: %v does not say %q", what, err, part)
					}
				}
			}
			if trimmed, err := l.Trimmed(t.Context(), "s"); err != nil || trimmed.Position != 20 {
				t.Errorf("trimmed to %d, %v", trimmed.Position, err)
			}
		})
	}
}

func mustRead(t *testing.T, l *Log, after eventlog.Position, limit int) []eventlog.Record {
	t.Helper()
	records, err := l.Read(t.Context(), "s", after, limit)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// No changed byte of a file goes unnoticed as other records.
func TestP18_DamagedBytes(t *testing.T) {
	l := fixture(t, "x")
	path := filepath.Join(l.Dir("s"), fileName(1, 10))
	whole := mustRead(t, l, 0, 20)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for i := rand.IntN(stride); i < len(b); i += stride {
		spoiled := append([]byte{}, b...)
		spoiled[i] ^= 0x41
		if err := os.WriteFile(path, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		l.shards = map[string]*shard{}
		got, err := l.Read(t.Context(), "s", 0, 20)
		if err == nil && !reflect.DeepEqual(got, whole) {
			t.Fatalf("byte %d: other records were read", i)
		}
		if err != nil && !strings.Contains(err.Error(), path) {
			t.Fatalf("byte %d: %v does not name the file", i, err)
		}
	}
}

// What an interrupted call leaves is removed, and only one call at a time archives.
func TestP18_InterruptedArchiving(t *testing.T) {
	l := fixture(t, "x")
	left := filepath.Join(l.Dir("s"), temporary+"1234")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRead(t, l, 0, 40)
	if _, err := l.Archive(t.Context(), "s", 36); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of an interrupted call: %v", err)
	}
	inParallel(8, func(int) {
		if _, err := l.Archive(t.Context(), "s", plan.Never); err != nil && !strings.Contains(err.Error(), "wait") {
			t.Error(err)
		}
	})
	if files, err := l.Files(t.Context(), "s"); err != nil || files[len(files)-1].Last != 40 {
		t.Errorf("%+v, %v", files, err)
	}
}

func inParallel(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// Nothing is trimmed that is not archived as the log has it.
func TestP18_OnlyArchivedRecordsAreTrimmed(t *testing.T) {
	l := fixture(t, "x")
	var missing *MissingError
	if err := l.Trim(t.Context(), "s", 31); !errors.As(err, &missing) || missing.First != 31 {
		t.Errorf("Trim of a record that is not archived: %v", err)
	}
	if err := l.Trim(t.Context(), "s", 30); err != nil {
		t.Error(err)
	}
	if _, err := l.SetBack(t.Context(), "s", 29); err == nil || !strings.Contains(err.Error(), fileName(21, 30)) {
		t.Errorf("SetBack to before an archived record: %v", err)
	}
	if n := len(mustRead(t, l, 0, 100)); n != 40 {
		t.Errorf("%d records", n)
	}
}

// largestPage remembers the most bytes of payloads that one Read has returned.
type largestPage struct {
	eventlog.Log
	bytes int
}

func (l *largestPage) Read(ctx context.Context, shard string, after eventlog.Position, limit int) ([]eventlog.Record, error) {
	page, err := l.Log.Read(ctx, shard, after, limit)
	bytes := 0
	for i := range page {
		bytes += len(page[i].Payload)
	}
	l.bytes = max(l.bytes, bytes)
	return page, err
}

// Large records are read a few at a time, and small ones many.
func TestP18_PagesAreBoundedInBytes(t *testing.T) {
	inner, err := pebble.Open("log", pebble.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	log := &largestPage{Log: inner}
	l := Over(log, t.TempDir())
	defer l.Close()
	records := 40
	if testing.Short() {
		records = 16
	}
	for range records {
		if _, err := l.Append(t.Context(), "s", []eventlog.Entry{{Payload: make([]byte, 1<<20)}}); err != nil {
			t.Fatal(err)
		}
	}
	if written, err := l.Archive(t.Context(), "s", plan.Never); err != nil || len(written) != 1 {
		t.Fatal(written, err)
	}
	if err := l.Trim(t.Context(), "s", eventlog.Position(records-1)); err != nil {
		t.Fatal(err)
	}
	if n := len(l.shards["s"].records); n > 0 {
		t.Errorf("%d records stay in memory after trimming", n)
	}
	if most := eventlog.PageBytes * 2; log.bytes > most {
		t.Errorf("%d bytes were read at a time, want at most %d", log.bytes, most)
	}
	var p eventlog.Paging
	p.Read(make([]eventlog.Record, p.Next(100)))
	if n := p.Next(100); n != 8 {
		t.Errorf("after an empty record %d are read, want 8", n)
	}
}
