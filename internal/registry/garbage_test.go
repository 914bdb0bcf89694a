package registry

import (
	"errors"
	"maps"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
)

// everything is all keys of a store but the marks, with their values.
func everything(t *testing.T, store onlinestore.Store, but byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, prefix := range []byte("sdolg") {
		if prefix == but {
			continue
		}
		err := store.Scan(t.Context(), []byte{prefix}, func(key, value []byte) error {
			out[string(key)] = string(value)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// State that nothing reads is found and counted from when it was first seen; what is read is
// never among it, nor touched when it goes.
func TestGarbage(t *testing.T) {
	onEachStore(t, func(t *testing.T, store onlinestore.Store) {
		ctx := t.Context()
		kept, gone, small := view("kept", 1), view("gone", 2), view("small", 3)
		old := Generation{View: kept.Fingerprint, Number: 1, Build: 7}
		now := Generation{View: kept.Fingerprint, Number: 2, Build: 8}
		died := Generation{View: kept.Fingerprint, Number: 3, Build: 9}
		lost := Generation{View: gone.Fingerprint, Number: 1, Build: 1}
		empty := Generation{View: small.Fingerprint, Number: 1, Build: 1}
		build(t, store, old, "a", "b")
		build(t, store, now, "a", "b", "c")
		build(t, store, lost, "x")
		build(t, store, empty)
		if err := errors.Join(write(ctx, store, died, "a"), SetOffset(ctx, store, now, logpos.One(0, 5)), SetOffset(ctx, store, lost, logpos.One(0, 6)),
			SetAside(ctx, store, lost, []DeadLetter{{Position: 3, Reason: "r"}})); err != nil {
			t.Fatal(err)
		}
		before := everything(t, store, markPrefix)
		find := func(at plan.EventTime, views ...*plan.View) map[Generation]Garbage {
			t.Helper()
			list, err := FindGarbage(ctx, store, views, at)
			if err != nil {
				t.Fatal(err)
			}
			out := map[Generation]Garbage{}
			for i, g := range list {
				if i > 0 && list[i-1].Since > g.Since {
					t.Errorf("not the longest unused first: %v", list)
				}
				out[g.Generation] = g
			}
			return out
		}
		got := find(100, kept)
		for b, want := range map[Generation]Garbage{
			old: {Keys: 2, Since: 100}, died: {Keys: 1, Since: 100}, lost: {Gone: true, Live: true, Keys: 4, Since: 100}, empty: {Gone: true, Live: true, Since: 100},
		} {
			g, ok := got[b]
			if !ok || g.Gone != want.Gone || g.Live != want.Live || g.Keys != want.Keys || g.Since != want.Since || (g.Bytes > 0) != (want.Keys > 0) {
				t.Errorf("%x, number %d: %+v, want %+v", b.View[:1], b.Number, g, want)
			}
		}
		if len(got) != 4 || !maps.Equal(everything(t, store, markPrefix), before) {
			t.Errorf("%d builds; or looking changed more than marks", len(got))
		}
		// What was marked keeps its time; what is read again loses its mark.
		if got := find(200, kept, gone); len(got) != 3 || got[old].Since != 100 {
			t.Errorf("with the definition back: %+v", got)
		}
		got = find(300, kept)
		if got[lost].Since != 300 || got[old].Since != 100 {
			t.Errorf("gone again: %+v", got)
		}
		for _, b := range []Generation{old, died, lost, empty} {
			if err := Collect(ctx, store, got[b]); err != nil {
				t.Fatal(err)
			}
		}
		want := maps.Clone(before)
		for _, b := range []Generation{old, died, lost, empty} {
			for _, prefix := range [][]byte{b.Prefix(), b.OffsetKey(), b.letters()} {
				maps.DeleteFunc(want, func(k, _ string) bool { return len(k) >= len(prefix) && k[:len(prefix)] == string(prefix) })
			}
		}
		delete(want, string(liveKey(lost.View)))
		delete(want, string(liveKey(empty.View)))
		if after := everything(t, store, 0); !maps.Equal(after, want) {
			t.Errorf("%d keys are left, want %d", len(after), len(want))
		}
		if g, err := Live(ctx, store, kept); err != nil || g.Number != 2 {
			t.Errorf("the live build: %+v, %v", g, err)
		}
		if got := find(400, kept); len(got) != 0 {
			t.Errorf("after it was collected: %+v", got)
		}
	})
}

// A build that was superseded before its definition went is collected without taking the
// record of the one that is live.
func TestGarbageOfAnOldBuildLeavesTheLiveOne(t *testing.T) {
	store := embedded(t)
	v := view("v", 1)
	old, now := Generation{View: v.Fingerprint, Number: 1, Build: 7}, Generation{View: v.Fingerprint, Number: 2, Build: 8}
	build(t, store, old, "a")
	build(t, store, now, "a")
	list, err := FindGarbage(t.Context(), store, nil, 1)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	for _, g := range list {
		if g.Generation == old {
			if err := Collect(t.Context(), store, g); err != nil {
				t.Fatal(err)
			}
		}
	}
	if g, err := Live(t.Context(), store, v); err != nil || g.Number != 2 {
		t.Errorf("%+v, %v", g, err)
	}
}
