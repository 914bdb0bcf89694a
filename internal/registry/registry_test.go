package registry

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
)

func TestGenerationsFollowOneAnother(t *testing.T) {
	onEachStore(t, func(t *testing.T, store onlinestore.Store) {
		v := view("spend", 1)
		var none *NotMaterialized
		if _, err := Live(t.Context(), store, v); !errors.As(err, &none) || none.View != v {
			t.Fatalf("a view without state: %v", err)
		}
		if !strings.Contains(none.Error(), "unskew materialize --view spend") {
			t.Errorf("the error does not say what to do: %v", none)
		}
		number, live, err := Next(t.Context(), store, v)
		if number != 1 || live != nil || err != nil {
			t.Fatalf("Next of a view without state: %d, %v, %v", number, live, err)
		}
		want := Generation{View: v.Fingerprint, Number: 1, Build: math.MaxUint64, Materialized: plan.Never, Positions: logpos.Vector{7, 0, 2}.Fix(), Inputs: [32]byte{3, 1}}
		for range 3 {
			if err := Promote(t.Context(), store, want); err != nil {
				t.Fatal(err)
			}
			got, err := Live(t.Context(), store, v)
			if got != want || err != nil {
				t.Errorf("live is %+v, %v; promoted was %+v", got, err, want)
			}
			number, live, err = Next(t.Context(), store, v)
			if number != want.Number+1 || *live != want || err != nil {
				t.Fatalf("Next: %d, %+v, %v", number, live, err)
			}
			want = Generation{View: v.Fingerprint, Number: number, Materialized: plan.Always + plan.EventTime(number), Positions: logpos.One(0, number<<60).Fix()}
		}
		if _, err := Live(t.Context(), store, view("spend", 2)); !errors.As(err, &none) {
			t.Errorf("a view of the same name with another fingerprint: %v", err)
		}
	})
}

func TestOneOfSeveralBuildsIsPromoted(t *testing.T) {
	onEachStore(t, func(t *testing.T, store onlinestore.Store) {
		v := view("spend", 1)
		for number := uint64(1); number <= 3; number++ {
			var wg sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				wg.Go(func() {
					errs[i] = Promote(t.Context(), store, Generation{View: v.Fingerprint, Number: number, Build: uint64(i)})
				})
			}
			wg.Wait()
			winner := slices.Index(errs, nil)
			for i, err := range errs {
				if i != winner && !errors.Is(err, ErrSuperseded) {
					t.Errorf("build %d of generation %d: %v", i, number, err)
				}
			}
			live, err := Live(t.Context(), store, v)
			if err != nil || live.Number != number || live.Build != uint64(winner) {
				t.Fatalf("live is %+v, %v; build %d had no error", live, err, winner)
			}
		}
		for _, stale := range []uint64{1, 2, 3, 5} {
			if err := Promote(t.Context(), store, Generation{View: v.Fingerprint, Number: stale}); !errors.Is(err, ErrSuperseded) {
				t.Errorf("promoting generation %d while 3 is live: %v", stale, err)
			}
		}
	})
}

// Dropping removes what it names and no neighbour, whatever bytes entity keys have.
func TestDropTouchesNothingElse(t *testing.T) {
	onEachStore(t, func(t *testing.T, store onlinestore.Store) {
		entities := []string{"", "a", "a\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff", strings.Repeat("\x00", 8), "*?[a]\\"}
		var all []Generation
		for _, v := range []byte{1, 2} {
			for _, number := range []uint64{1, 2, 255, 256} {
				for _, b := range []uint64{0, 1, math.MaxUint64} {
					g := Generation{View: plan.Fingerprint{0: v}, Number: number, Build: b}
					if err := errors.Join(write(t.Context(), store, g, entities...), SetOffset(t.Context(), store, g, logpos.Vector{9, 1}),
						Advance(t.Context(), store, []Generation{g}, make([]Reached, 1), Reached{{9, 9}})); err != nil {
						t.Fatal(err)
					}
					all = append(all, g)
				}
			}
		}
		dropped := func(g Generation) bool {
			return g == all[1] || g.View == all[0].View && g.Number == 256
		}
		if err := errors.Join(Drop(t.Context(), store, all[1]), DropNumber(t.Context(), store, all[0].View, 256)); err != nil {
			t.Fatal(err)
		}
		for _, g := range all {
			var keys [][]byte
			for _, e := range entities {
				keys = append(keys, g.StateKey([]byte(e)))
			}
			got, err := store.Get(t.Context(), keys)
			if err != nil {
				t.Fatal(err)
			}
			for i, value := range got {
				if (value == nil) != dropped(g) || value != nil && !bytes.Equal(value, state(g, entities[i])) {
					t.Errorf("%+v, entity %q: state %q", g, entities[i], value)
				}
			}
			offset, reached, err := Progress(t.Context(), store, g)
			if err != nil || (offset.Sum() == 0) != dropped(g) || (reached == nil) != dropped(g) {
				t.Errorf("%+v: offset %d, reached %v, %v", g, offset, reached, err)
			}
		}
	})
}

func TestOffsetsNeverGoBack(t *testing.T) {
	onEachStore(t, func(t *testing.T, store onlinestore.Store) {
		g := Generation{View: plan.Fingerprint{0: 1}, Number: 1, Positions: logpos.One(0, 5).Fix()}
		expect := func(g Generation, want uint64) {
			t.Helper()
			if got, _, err := Progress(t.Context(), store, g); !got.Equal(logpos.One(0, want)) || err != nil {
				t.Errorf("offset %d, %v; want %d", got, err, want)
			}
		}
		expect(g, 5)
		for _, step := range []struct{ set, want uint64 }{{0, 5}, {3, 5}, {9, 9}, {9, 9}, {8, 9}, {1 << 60, 1 << 60}} {
			if err := SetOffset(t.Context(), store, g, logpos.One(0, step.set)); err != nil {
				t.Fatal(err)
			}
			expect(g, step.want)
		}
		g.Number = 2
		expect(g, 5)
		var wg sync.WaitGroup
		for i := range uint64(16) {
			wg.Go(func() {
				before, _, err := Progress(t.Context(), store, g)
				if err := errors.Join(err, SetOffset(t.Context(), store, g, logpos.One(int(i%3), 10+i))); err != nil {
					t.Error(err)
				}
				if after, _, err := Progress(t.Context(), store, g); !after.Covers(before) || after.At(int(i%3)) < 10+i || err != nil {
					t.Errorf("the offset went from %d to %d, %v", before, after, err)
				}
			})
		}
		wg.Wait()
	})
}

// A damaged value is an error, not a panic [p2] and not a guess.
func TestP2_DamagedValues(t *testing.T) {
	g := Generation{View: plan.Fingerprint{0: 1}, Number: 1, Positions: logpos.One(0, 5).Fix()}
	good := g.record()
	v := view("spend", 1)
	for name, value := range map[string][]byte{
		"empty": {}, "a byte": {1}, "truncated": good[:len(good)-1], "longer": append(slices.Clone(good), 0),
		"another format": func() []byte { b := slices.Clone(good); b[8]++; return b }(),
	} {
		store := fixed{value: value}
		if _, err := Live(t.Context(), store, v); err == nil || !strings.Contains(err.Error(), v.Fingerprint.Short()) {
			t.Errorf("%s: live record: %v", name, err)
		}
		if _, _, err := Next(t.Context(), store, v); err == nil {
			t.Errorf("%s: Next takes a damaged record", name)
		}
		if _, err := NewReader(store).States(t.Context(), []Query{{View: v}}, nil); err == nil {
			t.Errorf("%s: the reader takes a damaged record", name)
		}
	}
	for name, value := range map[string][]byte{"empty": {}, "seven bytes": make([]byte, 7), "zero": make([]byte, 8), "nine bytes": {8: 1}} {
		_, _, err := Progress(t.Context(), fixed{value: value}, g)
		if err == nil || SetOffset(t.Context(), fixed{value: value}, g, logpos.One(0, 9)) == nil {
			t.Errorf("an offset that is %s is taken", name)
		}
	}
}

func TestRecordsKeepEveryField(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := Generation{
			View: plan.Fingerprint{0: 1}, Number: rapid.Uint64Min(1).Draw(t, "number"), Build: rapid.Uint64().Draw(t, "build"),
			Materialized: plan.EventTime(rapid.Int64().Draw(t, "materialized")), Positions: logpos.Vector(rapid.SliceOfN(rapid.Uint64Range(0, 1<<50), 0, 9).Draw(t, "positions")).Fix(),
		}
		copy(g.Inputs[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "inputs"))
		if got, err := decodeRecord(g.View, g.record()); got != g || err != nil {
			t.Fatalf("%+v became %+v, %v", g, got, err)
		}
	})
}
