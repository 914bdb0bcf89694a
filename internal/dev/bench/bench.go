// Package bench is shared by the benchmark programs: it compiles definitions and times
// alternatives against each other.
//
// Absolute times depend on the machine and its load. The programs therefore report ratios of
// times that were measured alternately in one run.
package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"syscall"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
)

// View compiles definitions, the text of one YAML file, and returns the view of
// the given name.
func View(definitions, name string) (*plan.View, error) {
	p, err := Plan(definitions)
	if err != nil {
		return nil, err
	}
	v, ok := p.View(name)
	if !ok {
		return nil, fmt.Errorf("the benchmark's definitions have no view %s", name)
	}
	return v, nil
}

// Plan compiles definitions, the text of one YAML file.
func Plan(definitions string) (*plan.Plan, error) {
	dir, err := os.MkdirTemp("", "unskew-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for file, text := range map[string]string{featuredefs.ConfigFile: "project: bench\n", "features/defs.yaml": definitions} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	project, found, err := featuredefs.Load(dir, featuredefs.Options{})
	if err != nil {
		return nil, err
	}
	if len(found) > 0 {
		return nil, fmt.Errorf("the benchmark's definitions do not compile: %v", found)
	}
	return project.Plan, nil
}

// Race runs the contestants alternately, rounds times, and returns the least time of each.
// If rounds are short and many, a disturbance is unlikely to affect all of them.
func Race(rounds int, contestants ...func()) []time.Duration {
	begin := time.Now()
	return race(rounds, func() {}, func() time.Duration { return time.Since(begin) }, contestants)
}

// RaceLong is Race for contestants that take seconds and allocate much, so that every round is
// disturbed. It measures the processor time of all threads of the process: other programs do
// not count, the garbage collector does. It collects the garbage of the previous contestant
// first.
func RaceLong(rounds int, contestants ...func()) []time.Duration {
	return race(rounds, runtime.GC, spent, contestants)
}

func race(rounds int, prepare func(), clock func() time.Duration, contestants []func()) []time.Duration {
	best := make([]time.Duration, len(contestants))
	for r := range rounds {
		for i, f := range contestants {
			prepare()
			begin := clock()
			f()
			if d := clock() - begin; r == 0 || d < best[i] {
				best[i] = d
			}
		}
	}
	return best
}

// spent is the processor time of the process so far. While threads run, it is accurate only
// to some milliseconds.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // only for bad arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Repeat returns a function that calls f n times.
func Repeat(n int, f func()) func() {
	return func() {
		for range n {
			f()
		}
	}
}

// Mallocs is the number of objects that f allocates.
func Mallocs(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// Median is the median of xs, which it sorts.
func Median(xs []float64) float64 {
	slices.Sort(xs)
	n := len(xs)
	return (xs[(n-1)/2] + xs[n/2]) / 2
}

// Figure is a number that reports print with two decimals.
type Figure float64

// MarshalJSON writes the figure as a number.
func (f Figure) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%.2f", float64(f)), nil }

// Report prints v, a struct, as the one JSON line that ends a program's output.
func Report(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// Peak is the peak heap memory while f runs, in bytes above that before: live objects and
// garbage that is not collected yet.
func Peak(f func()) float64 {
	runtime.GC()
	before := heap()
	most := before
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, heap())
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	return float64(most - before)
}

func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
