package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unskew/unskew/internal/dev/bench"
	"github.com/unskew/unskew/sdk"
)

const (
	users    = 20_000
	history  = 400_000 // events in files
	features = 50
	readers  = 8
	pushes   = 200 // events per second
)

// definitions have 50 features: 10 aggregates in 5 windows.
func definitions() string {
	var b strings.Builder
	b.WriteString(`kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: payments
from: data/payments.csv
stream: true
event_time: at
event_id: id
columns:
  id: {type: string}
  at: {type: timestamp}
  user_id: {type: int}
  amount: {type: double}
  shop: {type: string}
---
kind: FeatureView
name: spending
entity: user
source: payments
features:
`)
	for _, window := range []string{"1h", "6h", "1d", "7d", "30d"} {
		for i, of := range []string{"count(%q)", "sum(amount, %q)", "mean(amount, %q)", "min(amount, %q)", "max(amount, %q)", "stddev_samp(amount, %q)", "distinct_count(shop, %q)", "latest(amount, %q)", "var_pop(amount, %q)", "sum(amount * amount, %q)"} {
			fmt.Fprintf(&b, "  f%d_%s: "+of+"\n", i, window, window)
		}
	}
	b.WriteString("---\nkind: FeatureService\nname: risk\nfeatures: [spending]\n")
	return b.String()
}

func writeProject(dir string) error {
	random := rand.New(rand.NewPCG(1, 1))
	var csv strings.Builder
	csv.WriteString("id,at,user_id,amount,shop\n")
	end := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i := range history {
		at := end.Add(-time.Duration(random.IntN(30*24*3600)) * time.Second)
		fmt.Fprintf(&csv, "h%d,%s,%d,%d.25,shop %d\n", i, at.UTC().Format(time.RFC3339), random.IntN(users), random.IntN(1000), random.IntN(300))
	}
	return bench.WriteFiles(dir, map[string]string{"unskew.yaml": "project: bench\n", "features/bench.yaml": definitions(), "data/payments.csv": csv.String()})
}

// load reads from a server, one row at a time, while events are pushed.
type load struct{ client *sdk.Client }

func newLoad(url string) (*load, error) {
	client, err := sdk.New(url)
	return &load{client}, err
}

func (l *load) read(ctx context.Context, random *rand.Rand) error {
	_, err := l.client.GetFeatures(ctx, "risk", []sdk.Column{sdk.Ints("user_id", random.Int64N(users))}, nil)
	return err
}

// during runs f for some time, and pushes meanwhile.
func (l *load) during(ctx context.Context, length time.Duration, f func(context.Context) error) error {
	ctx, stop := context.WithTimeout(ctx, length)
	defer stop()
	pushed := make(chan error, 1)
	go func() { pushed <- ended(ctx, l.push(ctx)) }()
	err := ended(ctx, f(ctx))
	stop()
	return errors.Join(err, <-pushed)
}

// ended drops an error that comes from the end of the time.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (l *load) push(ctx context.Context) error {
	const batch = 20
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
	next := time.NewTicker(time.Second * batch / pushes)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		ids, at, of, amounts, shops := make([]string, batch), make([]time.Time, batch), make([]int64, batch), make([]float64, batch), make([]string, batch)
		for i := range batch {
			ids[i], at[i], of[i], amounts[i], shops[i] = fmt.Sprintf("%x", random.Uint64()), time.Now(), random.Int64N(users), random.Float64(), fmt.Sprint("shop ", random.IntN(300))
		}
		if _, err := l.client.Push(ctx, "payments", sdk.Strings("id", ids...), sdk.Times("at", at...), sdk.Ints("user_id", of...), sdk.Doubles("amount", amounts...), sdk.Strings("shop", shops...)); err != nil {
			return err
		}
	}
}

// saturate reads as fast as the server answers and returns how many reads there were.
func (l *load) saturate(ctx context.Context, length time.Duration) (int64, error) {
	var reads atomic.Int64
	err := l.during(ctx, length, func(ctx context.Context) error {
		var all sync.WaitGroup
		failed := make(chan error, readers)
		for n := range readers {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(n), 5))
				for ctx.Err() == nil {
					if err := l.read(ctx, random); err != nil {
						failed <- err
						return
					}
					reads.Add(1)
				}
			})
		}
		all.Wait()
		close(failed)
		return <-failed
	})
	return reads.Load(), err
}

// paced reads at a fixed rate and returns how long each read took from the time at which it was due.
func (l *load) paced(ctx context.Context, length time.Duration, rate int) ([]time.Duration, error) {
	var mu sync.Mutex
	var took []time.Duration
	err := l.during(ctx, length, func(ctx context.Context) error {
		due := make(chan time.Time, rate)
		var all sync.WaitGroup
		failed := make(chan error, readers)
		for n := range readers {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(n), 6))
				for at := range due {
					if err := l.read(ctx, random); err != nil {
						if ctx.Err() == nil {
							failed <- err
						}
						return
					}
					mu.Lock()
					took = append(took, time.Since(at))
					mu.Unlock()
				}
			})
		}
		next := time.NewTicker(time.Second / time.Duration(rate))
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case at := <-next.C:
				select {
				case due <- at:
				default: // all readers have failed
				}
			}
		}
		next.Stop()
		close(due)
		all.Wait()
		close(failed)
		return <-failed
	})
	if err == nil && len(took) == 0 {
		err = errors.New("no read has ended")
	}
	return took, err
}
