package ingest

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/vector"
)

// Whoever writes events one by one has each taken before the next.
func TestRowsAreNotHeldBack(t *testing.T) {
	in := newSource(t, payments())
	for _, tc := range []struct {
		name, header, line string
		read               func(io.Reader, func(*vector.Batch) error) error
	}{
		{"JSON", "", `{"user": 1, "ts": "2025-01-01T00:00:00Z"}` + "\n", in.JSONLines},
		{"CSV", "user,ts\n", "1,2025-01-01T00:00:00Z\n", in.CSV},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, w := io.Pipe()
			got := make(chan int)
			done := make(chan error, 1)
			go func() {
				done <- tc.read(r, func(b *vector.Batch) error { got <- b.N; return nil })
			}()
			write := func(text string) {
				if _, err := io.WriteString(w, text); err != nil {
					t.Error(err)
				}
			}
			go write(tc.header + tc.line)
			if n := <-got; n != 1 {
				t.Errorf("%d rows, want the first", n)
			}
			go write(tc.line + tc.line)
			if n := <-got; n != 2 {
				t.Errorf("%d rows, want the next two", n)
			}
			w.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// breaking gives text and then an error.
type breaking struct {
	text io.Reader
	err  error
}

func (b *breaking) Read(p []byte) (int, error) {
	if n, err := b.text.Read(p); err == nil {
		return n, nil
	}
	return 0, b.err
}

func TestHalfALineIsNoRow(t *testing.T) {
	in := newSource(t, payments())
	broken := errors.New("the network is gone")
	rows := 0
	count := func(b *vector.Batch) error { rows += b.N; return nil }
	line := `{"user": 1, "ts": "2025-01-01T00:00:00Z"}`
	err := in.JSONLines(&breaking{strings.NewReader(line + "\n" + line), broken}, count)
	if !errors.Is(err, broken) || rows != 1 {
		t.Errorf("JSON: %d rows, %v", rows, err)
	}
	rows = 0
	err = in.CSV(&breaking{strings.NewReader("user,ts\n1,2025-01-01T00:00:00Z\n1,2025-01-01T"), broken}, count)
	if !errors.Is(err, broken) || rows != 1 {
		t.Errorf("CSV: %d rows, %v", rows, err)
	}
	full := errors.New("the disk is full")
	if err := in.JSONLines(strings.NewReader(line+"\n"+line), func(*vector.Batch) error { return full }); err != full {
		t.Errorf("an error of the consumer came back as %v", err)
	}
	if err := in.CSV(strings.NewReader("user,ts\n1,2025-01-01T00:00:00Z\n"), func(*vector.Batch) error { return full }); err != full {
		t.Errorf("an error of the consumer came back as %v", err)
	}
}
