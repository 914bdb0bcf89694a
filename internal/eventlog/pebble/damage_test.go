package pebble

import (
	"errors"
	"testing"

	cockroach "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/internal/eventlog"
)

func TestMissingRecordsAreNoticed(t *testing.T) {
	for _, missing := range []eventlog.Position{1, 2} {
		l, err := Open("log", Options{FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := l.Append(ctx, "s", []eventlog.Entry{{}, {}, {}}); err != nil {
			t.Fatal(err)
		}
		if err := l.db.Delete(appendEventKey(nil, "s", missing), cockroach.Sync); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Read(ctx, "s", 0, 10); !errors.Is(err, eventlog.ErrDamaged) {
			t.Errorf("Read without position %d: %v, want ErrDamaged", missing, err)
		}
	}
}

func TestTornRecordsAreNoticed(t *testing.T) {
	whole := appendEvent(nil, 5, &eventlog.Entry{ID: "id", Payload: []byte("payload")})
	for n := range len(whole) - len("payload") {
		if _, err := decodeEvent(1, whole[:n]); !errors.Is(err, eventlog.ErrDamaged) {
			t.Errorf("a record of %d bytes: %v, want ErrDamaged", n, err)
		}
	}
	if _, err := decodeSeen(make([]byte, 23)); !errors.Is(err, eventlog.ErrDamaged) {
		t.Errorf("a short id: %v, want ErrDamaged", err)
	}
}

func TestOpenSaysWhoHoldsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var locked *LockedError
	if _, err := Open(dir, Options{}); !errors.As(err, &locked) || locked.Dir != dir {
		t.Errorf("Open of a directory in use: %v, want a LockedError", err)
	}
}

// The bytes on disk are docs/formats/eventlog.md; this is its example.
func TestFormat(t *testing.T) {
	for _, c := range []struct{ what, got, want string }{
		{"event key", string(appendEventKey(nil, "pay", 258)), "e\x03pay\x00\x00\x00\x00\x00\x00\x01\x02"},
		{"event", string(appendEvent(nil, 1, &eventlog.Entry{ID: "id", Payload: []byte("p")})), "\x80\x00\x00\x00\x00\x00\x00\x01\x02idp"},
		{"event before 1970", string(appendEvent(nil, -1, &eventlog.Entry{})), "\x7f\xff\xff\xff\xff\xff\xff\xff\x00"},
		{"id key", string(appendIDKey(nil, "pay", 0, "id")), "i\x03payid"},
		{"id key in a segment", string(appendIDKey(nil, "pay", 258, "id")), "j\x03pay\x00\x00\x01\x02id"},
		{"segments", string((&eventlog.Segments{Forgotten: 1, List: []eventlog.Segment{{Number: 2, Began: 3, Newest: 4, Until: 5}}}).Encode()),
			"\x80\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x80\x00\x00\x00\x00\x00\x00\x03\x80\x00\x00\x00\x00\x00\x00\x04\x80\x00\x00\x00\x00\x00\x00\x05"},
		{"versions key", string(appendVersionsKey(nil, "pay", 258)), "v\x03pay\x00\x00\x00\x00\x00\x00\x01\x02"},
		{"version", string(eventlog.AppendVersions(nil, []eventlog.Version{{Position: 258, Known: 1, Fields: []eventlog.Field{{Name: "a", Value: []byte("v")}}}})),
			"\x80\x00\x00\x00\x00\x00\x00\x01\x03258\x04\x01a\x01v"},
		{"id", string(appendSeen(nil, &eventlog.Seen{Digest: eventlog.DigestOf([]byte("p")), Position: 258})),
			"\x14\x8d\xe9\xc5\xa7\xa4\x4d\x19\xe5\x6c\xd9\xae\x1a\x55\x4b\xf6\x00\x00\x00\x00\x00\x00\x01\x02"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %q, want %q", c.what, c.got, c.want)
		}
	}
}

// A log of a format before is read, and marked so that older programs refuse it.
func TestOlderFormat(t *testing.T) {
	for _, older := range []string{format1, format2} {
		t.Run(older, func(t *testing.T) { testOlderFormat(t, older) })
	}
}

func testOlderFormat(t *testing.T, older string) {
	fs := vfs.NewMem()
	l, err := Open("log", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(ctx, "s", entry("a")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.db.Set([]byte("f"), []byte(older), cockroach.Sync), l.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if l, err = Open("log", Options{FS: fs}); err != nil {
			t.Fatal(err)
		}
		marker, closer, err := l.db.Get([]byte("f"))
		if err != nil || string(marker) != format {
			t.Errorf("the marker is %q, %v", marker, err)
		}
		results, appendErr := l.Append(ctx, "s", entry("a"))
		if appendErr != nil || results[0].Outcome != eventlog.Duplicate {
			t.Errorf("an event of the older format: %v, %v", results, appendErr)
		}
		if err := errors.Join(closer.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
