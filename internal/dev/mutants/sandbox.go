package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	testTimeout = 5 * time.Minute  // of the tests of one package
	stepTimeout = 20 * time.Minute // of building and testing
)

// sandbox runs tests of the sources at root with mutants applied.
type sandbox struct {
	root   string
	work   string // directory for overlays
	checks int
	random map[string]bool // packages whose tests use rapid, and so accept its flags
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// prepare checks that the tests pass without mutants, so that a later failure is due to the
// mutant.
func (l *sandbox) prepare(ctx context.Context, mutants []mutant) error {
	l.random = map[string]bool{}
	var random, plain []string
	for _, pkg := range packages(mutants) {
		cmd := exec.CommandContext(ctx, "go", "list", "-tags", buildTags, "-f", `{{join .TestImports "\n"}}`+"\n"+`{{join .XTestImports "\n"}}`, "./"+pkg)
		cmd.Dir = l.root
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("go list ./%s: %w", pkg, err)
		}
		if l.random[pkg] = slices.Contains(strings.Fields(string(out)), "pgregory.net/rapid"); l.random[pkg] {
			random = append(random, pkg)
		} else {
			plain = append(plain, pkg)
		}
	}
	for _, some := range [][]string{random, plain} {
		if len(some) == 0 {
			continue
		}
		if text, v := l.test(ctx, "", some...); v != isMissed {
			return fmt.Errorf("the tests fail without any mutant:\n%s", text)
		}
	}
	return nil
}

const buildTags = "duckdb_arrow"

// all tests the mutants, jobs of them concurrently.
func (l *sandbox) all(ctx context.Context, mutants []mutant, jobs int) <-chan outcome {
	queue := make(chan mutant)
	outcomes := make(chan outcome)
	var workers sync.WaitGroup
	for range max(1, jobs) {
		workers.Go(func() {
			for m := range queue {
				outcomes <- l.one(ctx, m)
			}
		})
	}
	go func() {
		for _, m := range mutants {
			queue <- m
		}
		close(queue)
		workers.Wait()
		close(outcomes)
	}()
	return outcomes
}

// one tests a mutant, package by package until a test fails.
func (l *sandbox) one(ctx context.Context, m mutant) outcome {
	begin := time.Now()
	o := outcome{mutant: m, verdict: isMissed}
	overlay, err := l.overlay(&m)
	if err != nil {
		o.verdict, o.detail = isBroken, err.Error()
		return o
	}
	if m.compiled != "" {
		o.detail, o.verdict = l.fused(ctx, overlay, m.compiled)
	}
	for _, pkg := range m.tests {
		var text []byte
		if text, o.verdict = l.test(ctx, overlay, pkg); o.verdict == isMissed {
			continue
		}
		o.detail = string(text)
		if o.verdict == isCaught {
			o.detail = firstFailure(text) + " in " + pkg
		}
		break
	}
	o.took = time.Since(begin)
	return o
}

// overlay writes the changed file and the JSON file for the go command's -overlay.
func (l *sandbox) overlay(m *mutant) (string, error) {
	text, err := m.apply(l.root)
	if err != nil {
		return "", err
	}
	changed, description := filepath.Join(l.work, m.name+".go"), filepath.Join(l.work, m.name+".json")
	replace := map[string]string{filepath.Join(l.root, filepath.FromSlash(m.file)): changed}
	encoded, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	return description, errors.Join(os.WriteFile(changed, text, 0o644), os.WriteFile(description, encoded, 0o644))
}

// test runs the tests of packages, which either all use rapid or all do not. Properties are
// checked with the same cases every time. The tests pass (isMissed), fail (isCaught), or do not
// end (isBroken).
func (l *sandbox) test(ctx context.Context, overlay string, pkgs ...string) ([]byte, verdict) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	args := []string{"test", "-tags", buildTags, "-vet=off", "-count=1", "-failfast", "-timeout", testTimeout.String(), "-overlay", overlay}
	for _, pkg := range pkgs {
		args = append(args, "./"+pkg)
	}
	if l.random[pkgs[0]] {
		args = append(args, fmt.Sprint("-rapid.checks=", l.checks), "-rapid.seed=1", "-rapid.shrinktime=0s", "-rapid.nofailfile")
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = l.root
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	switch failed := (*exec.ExitError)(nil); {
	case err == nil:
		return out, isMissed
	case ctx.Err() != nil, !errors.As(err, &failed):
		return fmt.Appendf(out, "%v", err), isBroken
	case unfinished.Match(out):
		return out, isBroken
	}
	return out, isCaught
}

// fused looks for fused operations in the arm64 code of a package, like make check-fma.
func (l *sandbox) fused(ctx context.Context, overlay, pkg string) (string, verdict) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-gcflags=-S", "-overlay", overlay, "./"+pkg)
	cmd.Dir = l.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		return fmt.Sprintf("%s\n%v", out, err), isBroken
	case fusedOperation.Match(out):
		return "make check-fma in " + pkg, isCaught
	}
	return "", isMissed
}

var fusedOperation = regexp.MustCompile(`\sFN?M(ADD|SUB)[SD]\s`)

// unfinished matches the go command's output if tests could not be built or ran too long.
var unfinished = regexp.MustCompile(`(?m)\[(build|setup) failed\]$|^panic: test timed out|^no required module|^go: `)

var (
	failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	crash   = []byte("panic: ")
)

// firstFailure is the name of the first failed test in the output of go test.
func firstFailure(out []byte) string {
	if found := failure.FindAllSubmatch(out, -1); found != nil {
		return string(found[0][1])
	}
	if bytes.Contains(out, crash) {
		return "a panic"
	}
	return "a failure"
}
