package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// counts are numbers of tests.
type counts struct{ passed, failed, skipped, native int }

func (c *counts) add(d counts) {
	c.passed += d.passed
	c.failed += d.failed
	c.skipped += d.skipped
	c.native += d.native
}

type fileReport struct {
	name string
	counts
}

// report is the result of a run.
type report struct {
	files    []fileReport
	total    counts
	failures []string
	skips    map[string]int // by reason
	rows     int
}

// runSuite runs every test, the kernels with batches of the given sizes.
func runSuite(sizes []int) (*report, error) {
	dir, err := suiteDir()
	if err != nil {
		return nil, err
	}
	files, err := loadSuite(dir)
	if err != nil {
		return nil, err
	}
	ref, err := newReference()
	if err != nil {
		return nil, err
	}
	ker, err := newKernels(sizes)
	if err != nil {
		return nil, err
	}
	r := &report{skips: map[string]int{}}
	for _, f := range files {
		fr := fileReport{name: f.GetName()}
		for _, c := range cases(f) {
			fr.add(r.runTest(ref, ker, c))
		}
		r.files = append(r.files, fr)
		r.total.add(fr.counts)
	}
	r.rows = ker.rows
	return r, nil
}

// runTest runs one test. If cel-go passes it, the kernels must pass it too, unless there is a
// reason why it cannot be a feature.
func (r *report) runTest(ref *reference, ker *kernels, c *testCase) counts {
	if _, why := notInCEL(c.name()); why != "" {
		r.skips[why]++
		return counts{skipped: 1}
	}
	if err := ref.run(c); err != nil {
		return r.fail(c, "cel-go", err)
	}
	if why := ref.notInFeatures(c); why != "" {
		r.skips[why]++
		return counts{skipped: 1}
	}
	native, err := ker.run(c)
	if err != nil {
		return r.fail(c, "kernels", err)
	}
	if native {
		return counts{passed: 1, native: 1}
	}
	return counts{passed: 1}
}

func (r *report) fail(c *testCase, where string, err error) counts {
	r.failures = append(r.failures, fmt.Sprintf("%s: %s: %s: %v", c.name(), c.GetExpr(), where, err))
	return counts{failed: 1}
}

func (r *report) print(w io.Writer) {
	for _, f := range r.failures {
		fmt.Fprintln(w, f)
	}
	fmt.Fprintf(w, "%-18s %8s %8s %8s %22s\n", "file", "passed", "failed", "skipped", "without cel-go")
	for _, f := range r.files {
		fmt.Fprintf(w, "%-18s %8d %8d %8d %22d\n", f.name, f.passed, f.failed, f.skipped, f.native)
	}
	fmt.Fprintln(w, "\nskipped because")
	reasons := slices.SortedFunc(maps.Keys(r.skips), func(a, b string) int { return r.skips[b] - r.skips[a] })
	for _, why := range reasons {
		fmt.Fprintf(w, "%5d  %s\n", r.skips[why], why)
	}
	fmt.Fprintf(w, "\n%d rows of kernels compared; %d tests passed with nothing left to cel-go\n", r.rows, r.total.native)
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", r.total.passed, r.total.failed, r.total.skipped)
}
