package online

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
)

var lostSpend = map[string]string{"n": "null LOST", "total": "null LOST", "last": "null LOST", "n_1m": "null LOST"}

func (r *rig) stateKey(view string, key ...plan.Value) []byte {
	return r.live(view).StateKey(entity(r.view(view), key))
}

// A state that is removed from the store, or of which a bit flips, is lost: before the next event of its entity and
// after it. All other entities and views go on, and one letter says what happened. [o10]
func TestO10_LostStatesAreSaid(t *testing.T) {
	for how, lose := range map[string]func(t *testing.T, r *rig, key []byte){
		"removed": func(t *testing.T, r *rig, key []byte) {
			if err := r.store.DeletePrefix(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		},
		"damaged": func(t *testing.T, r *rig, key []byte) {
			got, err := r.store.Get(t.Context(), [][]byte{key})
			if err != nil {
				t.Fatal(err)
			}
			bad := bytes.Clone(got[0])
			bit := 64 + rand.IntN(8*(len(bad)-8))
			bad[bit/8] ^= 1 << (bit % 8)
			// Only a write with another revision is one for the store; what the revision is does not matter here.
			for i, value := range [][]byte{append(bytes.Repeat([]byte{0xff}, 8), bad[8:]...), bad} {
				expect := onlinestore.Revision(got[0])
				if i == 1 {
					expect = 1<<64 - 1
				}
				if done, err := r.store.Swap(t.Context(), []onlinestore.Write{{Key: key, Expect: expect, Value: value}}); err != nil || !done[0] {
					t.Fatal(done, err)
				}
			}
		},
	} {
		t.Run(how, func(t *testing.T) {
			backendtest.Each(t, func(t *testing.T, open backend.Opener) {
				r := newRig(t, open, defstest.Compile(t, definitions))
				r.push("clicks", click("a", 1, noon-second, 1, "US"), click("b", 2, noon-second, 2, "US"))
				r.set(noon + 1)
				a := r.applier(nil)
				r.catchUp(a)
				lose(t, r, r.stateKey("spend", alice))
				expect(t, r.read("spend", noon+1, alice), lostSpend)
				for i := range int64(3) {
					r.push("clicks", click(fmt.Sprint("c", i), 1, noon-second, 4, "US"), click(fmt.Sprint("d", i), 3, noon-second, 8, "US"))
					r.set(noon + 2 + plan.EventTime(i))
					r.catchUp(a)
					expect(t, r.read("spend", r.clock(), alice), lostSpend)
				}
				expect(t, r.read("spend", r.clock(), plan.IntValue(2)), map[string]string{"n": "1 PRESENT", "total": "2.0 PRESENT"})
				expect(t, r.read("spend", r.clock(), plan.IntValue(3)), map[string]string{"n": "3 PRESENT"})
				expect(t, r.read("spend", r.clock(), plan.IntValue(4)), map[string]string{"n": "0 PRESENT"})
				r.agree("trade", r.clock(), plan.StringValue("US"), plan.StringValue("US-shop"))
				got := letters(r, "spend")
				if len(got) != 1 || !strings.HasPrefix(got[0].Reason, "lost: ") || got[0].Position != 3 || string(got[0].Entity) != string(entity(r.view("spend"), []plan.Value{alice})) {
					t.Errorf("letters %+v", got)
				}
				if s := a.Stats(); s.SetAside != 3 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// Whatever states are lost at whatever moment of applying, with crashes at any call, every entity has the state that
// it has without loss, or is lost. [o10]
func TestO10_NothingWrongAfterALoss(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		whole := newRig(t, open, defstest.Compile(t, definitions))
		clicks, _ := traffic()
		whole.push("clicks", clicks...)
		whole.catchUp(whole.applier(nil))
		want := whole.states(true, 0)
		for nth := 1 + rand.Int64N(stride()); ; nth += stride() {
			r := newRig(t, open, whole.plan)
			store := &faulty{Store: r.store, nth: nth, after: nth%2 == 0}
			r.push("clicks", clicks[:20]...)
			first := r.applier(func(c *Config) { c.Store, c.Batch = store, 3 }).CatchUp(t.Context())
			r.catchUp(r.applier(nil))
			lost := map[string]bool{}
			for _, v := range r.plan.Views {
				var keys [][]byte
				g := r.live(v.Name)
				if err := r.store.Scan(t.Context(), g.Prefix(), func(key, _ []byte) error {
					if rand.IntN(3) == 0 {
						keys = append(keys, bytes.Clone(key))
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				for _, key := range keys {
					lost[fmt.Sprintf("%s %x", v.Name, key[len(g.Prefix()):])] = true
					if err := r.store.DeletePrefix(t.Context(), key); err != nil {
						t.Fatal(err)
					}
				}
			}
			r.push("clicks", clicks[20:]...)
			r.catchUp(r.applier(func(c *Config) { c.Batch = 7 }))
			got := r.states(true, 0)
			for name, state := range want {
				switch now := got[name]; {
				case lost[name] && now != "" && now[8] != 0xfd:
					t.Errorf("crash at call %d: %s was lost, and has state %x", nth, name, now)
				case !lost[name] && now != state:
					t.Errorf("crash at call %d: %s is %x, without a loss of others %x", nth, name, now, state)
				}
			}
			if first == nil {
				break
			}
		}
	})
}

// withoutIndex is a store that writes no part of an index.
type withoutIndex struct{ onlinestore.Store }

func (w withoutIndex) Swap(ctx context.Context, writes []onlinestore.Write) ([]bool, error) {
	if len(writes) > 0 && writes[0].Key[0] == 'x' {
		return nil, errors.New("the index is not written, as planned")
	}
	return w.Store.Swap(ctx, writes)
}

// An applier that ended after it had written the first state of an entity, and before it added that to the index, is made
// up for by the next. [o10]
func TestO10_CrashBeforeTheIndexIsWritten(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		r.catchUp(r.applier(nil))
		r.push("clicks", click("a", 1, noon-second, 1, "US"))
		r.set(noon + 1)
		if err := r.applier(func(c *Config) { c.Store = withoutIndex{r.store} }).CatchUp(t.Context()); err == nil {
			t.Fatal("the index was written")
		}
		expect(t, r.read("spend", noon+1, alice), map[string]string{"n": "1 PRESENT"})
		r.catchUp(r.applier(nil))
		if err := r.store.DeletePrefix(t.Context(), r.stateKey("spend", alice)); err != nil {
			t.Fatal(err)
		}
		expect(t, r.read("spend", noon+1, alice), lostSpend)
	})
}

// A store that is emptied while an applier runs is not taken for a new one. [o10]
func TestO10_AnEmptiedStoreIsNoNewOne(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		r.push("clicks", click("a", 1, noon-second, 1, "US"))
		r.set(noon + 1)
		a := r.applier(nil)
		r.catchUp(a)
		for prefix := range 256 {
			if err := r.store.DeletePrefix(t.Context(), []byte{byte(prefix)}); err != nil {
				t.Fatal(err)
			}
		}
		r.push("clicks", click("b", 1, noon-second, 1, "US"))
		for range 2 {
			err := a.CatchUp(t.Context())
			if err == nil || !strings.Contains(err.Error(), "view spend: the online store has lost the state of the view (generation 1)") {
				t.Errorf("%v", err)
			}
		}
		if _, err := registry.Live(t.Context(), r.store, r.view("spend")); !errors.As(err, new(*registry.NotMaterialized)) {
			t.Errorf("a state began: %v", err)
		}
	})
}
