// Mutants breaks the program on purpose, in each of the ways listed in its tables, and
// checks that a test fails each time.
//
// A mutant is a change of text in one source file. It is applied with go test's -overlay,
// so the files do not change, and packages that do not depend on the change come from the
// build cache. A mutant is caught if a test of the packages that it names fails. One that does
// not compile, or hangs, says nothing about the tests and is an error in the table.
//
// Usage: go run ./internal/dev/mutants [-run REGEXP] [-j N] [-checks N] [-list]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
)

func main() {
	name := flag.String("run", "", "only the mutants whose name matches this regular `expression`")
	list := flag.Bool("list", false, "list the mutants and do nothing")
	jobs := flag.Int("j", 2, "mutants tested at the same time")
	checks := flag.Int("checks", 100, "number of cases for each property")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *name, *list, *jobs, *checks); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name string, list bool, jobs, checks int) error {
	pattern, err := regexp.Compile(name)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	chosen := slices.DeleteFunc(slices.Concat(tables...), func(m mutant) bool { return !pattern.MatchString(m.name) })
	if len(chosen) == 0 {
		return fmt.Errorf("no mutant's name matches %q; -list shows them", name)
	}
	if list {
		for _, m := range chosen {
			fmt.Printf("%-5s %-28s %s: %s\n", m.tag, m.name, m.file, m.breaks)
		}
		return nil
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	box := &sandbox{root: root, work: work, checks: checks}
	if err := box.prepare(ctx, chosen); err != nil {
		return err
	}
	return report(box.all(ctx, chosen, jobs))
}

// report prints the outcomes as they arrive, and the totals.
func report(outcomes <-chan outcome) error {
	var caught, missed, broken int
	for o := range outcomes {
		fmt.Println(o)
		switch o.verdict {
		case isCaught:
			caught++
		case isMissed:
			missed++
		default:
			broken++
		}
	}
	fmt.Printf("%d caught, %d missed\n", caught, missed)
	switch {
	case broken > 0:
		return fmt.Errorf("%d mutants are broken: they do not compile, or their tests do not end; mend the tables in internal/dev/mutants", broken)
	case missed > 0:
		return fmt.Errorf("no test fails for %d mutants; write one for each", missed)
	}
	return nil
}
