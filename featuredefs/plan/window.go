package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// Window is a span W sliding in hops of H: at T it holds the event times in
// [Lower(T), T). The zero Window is unbounded.
type Window struct {
	Width Micros // 0: unbounded
	Hop   Micros // divides Width; 1: exact
}

// Unbounded reports whether the window reaches back to the first event.
func (w Window) Unbounded() bool { return w.Width == 0 }

// Lower is the earliest event time inside the window as of t, the one
// definition of a window's tail: floor((t - W) / H) * H.
func (w Window) Lower(t EventTime) EventTime {
	if w.Width == 0 {
		return Always
	}
	return EventTime(FloorDiv(int64(t)-int64(w.Width), int64(w.Hop)) * int64(w.Hop))
}

// String is the literal that ParseWindow reads back to the same window; the
// hop is always written.
func (w Window) String() string {
	switch {
	case w.Width == 0:
		return "all"
	case w.Hop == 1:
		return formatSpan(w.Width) + "/exact"
	}
	return formatSpan(w.Width) + "/" + formatSpan(w.Hop)
}

// defaultHops are the hops a window without one may get, longest first.
var defaultHops = []Micros{Day, 6 * Hour, Hour, 15 * Minute, 5 * Minute, Minute, 10 * Second, Second}

// maxWidth bounds windows so that T - W cannot overflow.
const maxWidth = 36500 * Day

// ParseWindow reads "7d", "7d/1h" or "7d/exact". A window without a hop gets
// the largest default hop that divides it and is at most 1/48 of it, or is exact.
func ParseWindow(s string) (Window, error) {
	width, hop, hasHop := strings.Cut(s, "/")
	w, err := parseSpan(width)
	if err != nil {
		return Window{}, fmt.Errorf("window %q: %w", s, err)
	}
	if !hasHop {
		for _, h := range defaultHops {
			if w%h == 0 && h <= w/48 {
				return Window{w, h}, nil
			}
		}
		return Window{w, 1}, nil
	}
	if hop == "exact" {
		return Window{w, 1}, nil
	}
	h, err := parseSpan(hop)
	if err != nil {
		return Window{}, fmt.Errorf("window %q: hop: %w", s, err)
	}
	if w%h != 0 {
		return Window{}, fmt.Errorf("window %q: the hop %s does not divide %s", s, hop, width)
	}
	return Window{w, h}, nil
}

func parseSpan(s string) (Micros, error) {
	if s == "" {
		return 0, fmt.Errorf("empty span; write a whole number and one of s m h d, like 7d")
	}
	var unit Micros
	switch s[len(s)-1] {
	case 's':
		unit = Second
	case 'm':
		unit = Minute
	case 'h':
		unit = Hour
	case 'd':
		unit = Day
	default:
		return 0, fmt.Errorf("%q does not end in a unit; units are s m h d", s)
	}
	digits := s[:len(s)-1]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || strings.TrimLeft(digits, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not a whole number followed by one of s m h d", s)
	}
	if n <= 0 {
		return 0, fmt.Errorf("%q is not positive", s)
	}
	if n > int64(maxWidth/unit) {
		return 0, fmt.Errorf("%q is longer than 36500d", s)
	}
	return Micros(n) * unit, nil
}

// ParseSpan reads a span such as "15m" (units s m h d).
func ParseSpan(s string) (Micros, error) { return parseSpan(s) }

func formatSpan(m Micros) string {
	for _, u := range []struct {
		size Micros
		name string
	}{{Day, "d"}, {Hour, "h"}, {Minute, "m"}, {Second, "s"}} {
		if m%u.size == 0 {
			return strconv.FormatInt(int64(m/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(m), 10) + "us"
}

// String is the span in its largest whole unit.
func (m Micros) String() string { return formatSpan(m) }
