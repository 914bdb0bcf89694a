package expr

import (
	"fmt"
	"strings"
	"testing"
)

func TestBackoff_WhenStringsDoNotRepeat(t *testing.T) {
	for _, x := range []struct {
		hits, entries int
		full, want    bool
	}{
		{0, 25, false, false}, // too few to tell
		{0, 100, false, true},
		{24, 100, false, true},
		{25, 100, false, false},
		{25, 100, true, true},
		{100*payback - 1, 100, true, true},
		{100 * payback, 100, true, false},
	} {
		r := backoff{hits: x.hits, next: minPause}
		if got := r.assess(x.entries, 100, x.full); got != x.want || (r.left > 0) != x.want {
			t.Errorf("%+v: %v, and pauses for %d rows", x, got, r.left)
		}
		if r.hits != 0 && (x.full || x.want) {
			t.Errorf("%+v: %d hits remain after the generation has ended", x, r.hits)
		}
	}
}

func TestBackoff_PausesBecomeLonger(t *testing.T) {
	r := backoff{next: minPause}
	for want := minPause; want <= 4*maxPause; want *= 2 {
		if r.skip(1) {
			t.Fatal("it pauses without a reason")
		}
		r.assess(100, 100, true)
		for rows := 0; rows < min(want, maxPause); rows += minPause {
			if !r.skip(minPause) {
				t.Fatalf("it pauses for %d rows, want %d", rows, min(want, maxPause))
			}
		}
	}
}

// codes evaluates the program on n rows of text and reports whether they have codes.
func codes(p *Program, d *dictionary, n int, text func(row int) string) bool {
	list := make([]any, n)
	for i := range list {
		list[i] = text(i)
	}
	p.Eval(column(list...), n, nil)
	return !d.closed
}

func TestDictionary_PausesForLargeBatchesToo(t *testing.T) {
	for _, n := range []int{64, 1000, 4 * maxEntries, 5 * maxEntries} {
		p := program(t, "s.matches('7$')")
		d := memoOf(t, p).dict
		last := 0
		for range 2*maxEntries/n + 2 {
			codes(p, d, n, func(row int) string { return fmt.Sprint("name ", last+row) })
			last += n
		}
		if d.backoff.left <= 0 {
			t.Errorf("in batches of %d strings that do not repeat the dictionary does not pause", n)
		}
	}
}

func TestDictionary_PausesWhenStringsRarelyRepeat(t *testing.T) {
	for times, want := range map[int]bool{4: true, payback: true, 2 * payback: false} {
		p := program(t, "s.matches('7$')")
		d := memoOf(t, p).dict
		last, rested := 0, false
		for range 2 * maxEntries * times / 512 {
			codes(p, d, 512, func(row int) string { return fmt.Sprint("name ", (last+row)/times) })
			last += 512
			rested = rested || d.backoff.left > 0
		}
		if rested != want {
			t.Errorf("a dictionary whose strings occur %d times each pauses: %v", times, rested)
		}
	}
}

// TestDictionary_LongStringsCloseOnlyTheirBatch: the entries of earlier batches stay.
func TestDictionary_LongStringsCloseOnlyTheirBatch(t *testing.T) {
	p := program(t, "s.matches('7$')")
	d := memoOf(t, p).dict
	text := func(row int) string { return fmt.Sprint("name ", row) }
	if !codes(p, d, 200, text) {
		t.Fatal("200 strings get no codes")
	}
	for _, long := range []string{strings.Repeat("x", maxString+1), strings.Repeat("x", 2*maxBytes)} {
		before := d.generation
		if codes(p, d, 200, func(row int) string {
			if row == 100 {
				return long
			}
			return text(row)
		}) {
			t.Errorf("a batch with a string of %d bytes has codes", len(long))
		}
		if !codes(p, d, 200, text) || d.generation != before || len(d.entries) != 200+firstCode {
			t.Errorf("after a string of %d bytes, generation %d has %d entries", len(long), d.generation, len(d.entries))
		}
	}
}

// TestDictionary_StopsWhenFull: once a row has got no code, no later row is looked up.
func TestDictionary_StopsWhenFull(t *testing.T) {
	p := program(t, "s.matches('7$')")
	d := memoOf(t, p).dict
	d.limit = firstCode + 64
	if codes(p, d, 640, func(row int) string { return fmt.Sprint("name ", min(row, 65)) }) {
		t.Fatal("every string has a code")
	}
	if len(d.entries) != d.limit || d.backoff.hits > 64 {
		t.Errorf("%d entries, and %d rows were looked up after the last", len(d.entries), d.backoff.hits)
	}
}
