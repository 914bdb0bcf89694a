package registry

import (
	"reflect"
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/onlinestore"
)

// Letters are closed once, keep who did it and why, and are not opened again by whoever sets the same aside; the count of open ones looks
// at the letters only after a change.
func TestLettersAreClosedOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, store onlinestore.Store) {
		ctx := t.Context()
		g := Generation{View: view("a", 1).Fingerprint, Number: 1, Build: 7}
		count := func(before OpenLetters, want int64) OpenLetters {
			t.Helper()
			now, err := CountOpen(ctx, store, g, before)
			if err != nil || now.Open != want {
				t.Fatalf("%+v, %v, want %d", now, err, want)
			}
			return now
		}
		open := count(OpenLetters{}, 0)
		long := []byte(strings.Repeat("k", letterEntity+1))
		letters := []DeadLetter{{Position: 3, Reason: "one", At: 5}, {Shard: 2, Position: 1, Entity: []byte("e"), Reason: "two", At: 6}, {Position: 0, Entity: long, Reason: "three", At: 7}}
		if err := SetAside(ctx, store, g, letters); err != nil {
			t.Fatal(err)
		}
		open = count(open, 3)
		if err := SetAside(ctx, store, g, letters); err != nil || count(open, 3) != open {
			t.Errorf("set aside again: %v", err)
		}
		read := func() []DeadLetter {
			t.Helper()
			out, err := DeadLetters(ctx, store, g)
			if err != nil || len(out) != 3 {
				t.Fatalf("%v, %v", out, err)
			}
			return out
		}
		all := read()
		if !all[0].Truncated() || all[1].Truncated() {
			t.Errorf("truncated: %v", all)
		}
		how := Closing{How: Dropped, At: 9, By: "Ada", Why: "a test; of \x00 bytes"}
		for n, want := range []bool{true, false} {
			if done, err := CloseLetters(ctx, store, g, all[:2], how); err != nil || !reflect.DeepEqual(done, []bool{want, want}) {
				t.Errorf("the %d. time: %v, %v", n+1, done, err)
			}
		}
		open = count(open, 1)
		if err := SetAside(ctx, store, g, letters); err != nil {
			t.Fatal(err)
		}
		if done, err := CloseLetters(ctx, store, g, read()[2:], Closing{How: Replayed, At: 10}); err != nil || !done[0] {
			t.Errorf("%v, %v", done, err)
		}
		count(open, 0)
		for i, want := range []LetterStatus{Dropped, Dropped, Replayed} {
			l := read()[i]
			if l.Status() != want || l.Missing() != (want == Dropped) || l.Reason != all[i].Reason || l.At != all[i].At || string(l.Entity) != string(all[i].Entity) || l.Shard != all[i].Shard {
				t.Errorf("%+v, was %+v", l, all[i])
			}
			if want == Dropped && *l.Closed != how {
				t.Errorf("%+v", *l.Closed)
			}
		}
		if err := Drop(ctx, store, g); err != nil {
			t.Fatal(err)
		}
		count(open, 0)
		if left := everything(t, store, markPrefix); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}
