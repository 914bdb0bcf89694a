package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress shows the progress of long work: on a terminal one line that is rewritten,
// elsewhere a line every few seconds. It is safe for concurrent use.
type progress struct {
	w        io.Writer
	terminal bool
	every    time.Duration

	mu      sync.Mutex
	phase   string
	unit    string
	total   int64 // 0: unknown
	done    int64
	begun   time.Time
	shown   time.Time
	written int // length of the line on the terminal
}

// newProgress shows progress on w, or nothing if quiet.
func newProgress(w io.Writer, quiet bool) *progress {
	if quiet {
		return &progress{w: io.Discard, every: time.Hour}
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &progress{w: w, terminal: true, every: 100 * time.Millisecond}
	}
	return &progress{w: w, every: 5 * time.Second}
}

// begin starts a phase of total units (0 if unknown).
func (p *progress) begin(phase, unit string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase, p.unit, p.total, p.done = phase, unit, total, 0
	p.begun = time.Now()
	p.shown = p.begun
}

// add counts completed units.
func (p *progress) add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if now := time.Now(); now.Sub(p.shown) >= p.every {
		p.shown = now
		p.show(p.line(now))
	}
}

// end finishes the phase with a permanent line and returns its duration.
func (p *progress) end(summary string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := time.Since(p.begun)
	p.show(fmt.Sprintf("%-12s %s in %s", p.phase, summary, round(took)))
	if p.terminal {
		fmt.Fprintln(p.w)
		p.written = 0
	}
	return took
}

func (p *progress) line(now time.Time) string {
	elapsed := now.Sub(p.begun)
	rate := float64(p.done) / elapsed.Seconds()
	s := fmt.Sprintf("%-12s %s %s, %s/s", p.phase, count(p.done), p.unit, count(int64(rate)))
	if p.total > 0 && p.done > 0 && p.done <= p.total {
		left := time.Duration(float64(p.total-p.done) / rate * float64(time.Second))
		s += fmt.Sprintf(", %d%%, %s left", 100*p.done/p.total, round(left))
	}
	return s
}

func (p *progress) show(line string) {
	if !p.terminal {
		fmt.Fprintln(p.w, line)
		return
	}
	fmt.Fprintf(p.w, "\r%-*s", p.written, line)
	p.written = len(line)
}

func round(d time.Duration) time.Duration {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond)
	case d < time.Second:
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}

// quantity formats a count with its unit, in the plural unless it is one.
func quantity(n int64, unit string) string {
	if n != 1 {
		if stem, ok := strings.CutSuffix(unit, "y"); ok {
			unit = stem + "ie"
		}
		unit += "s"
	}
	return count(n) + " " + unit
}

// count formats a number with thousands separators.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
