package main

import "fmt"

// sample is what a server used at a moment.
type sample struct {
	seconds                                float64
	memory, heap, goroutines, files, store float64
}

// measure is something that must not grow.
type measure struct {
	name  string
	of    func(sample) float64
	slack float64 // growth that is noise, in its unit
	unit  string
	per   float64 // units are printed divided by this
}

const mebibyte = 1 << 20

var measures = []measure{
	// The embedded store fills its cache and memtables, which take up to 192 MiB, as it is used.
	{"memory", func(s sample) float64 { return s.memory }, 160 * mebibyte, "MiB", mebibyte},
	{"heap", func(s sample) float64 { return s.heap }, 32 * mebibyte, "MiB", mebibyte},
	{"goroutines", func(s sample) float64 { return s.goroutines }, 20, "", 1},
	{"files", func(s sample) float64 { return s.files }, 20, "", 1},
	{"state", func(s sample) float64 { return s.store }, 16 * mebibyte, "MiB", mebibyte},
}

// trend is how a measure changed after the warm-up.
type trend struct {
	measure
	mean, growth float64
	growing      bool
}

func (t trend) String() string {
	verdict := "flat"
	if t.growing {
		verdict = "GROWING"
	}
	return fmt.Sprintf("%-10s mean %6.0f %s, growth after the warm-up %+.1f: %s", t.name, t.mean/t.per, t.unit, t.growth/t.per, verdict)
}

// warmUp is the part of a run in which caches fill.
const warmUp = 1.0 / 3

// share is the growth, as a part of the mean, that is noise.
const share = 0.1

// judge fits a line to the samples after the warm-up by least squares. The measure grows if the line
// rises, over that time, by more than a tenth of the mean and by more than the slack.
func (m measure) judge(samples []sample) trend {
	rest := samples[int(float64(len(samples))*warmUp):]
	n := float64(len(rest))
	var x, y, xx, xy float64
	for _, s := range rest {
		v := m.of(s)
		x, y, xx, xy = x+s.seconds, y+v, xx+float64(s.seconds*s.seconds), xy+float64(s.seconds*v)
	}
	t := trend{measure: m, mean: y / n}
	if d := n*xx - float64(x*x); n > 1 && d > 0 {
		slope := (n*xy - float64(x*y)) / d
		t.growth = float64(slope * (rest[len(rest)-1].seconds - rest[0].seconds))
	}
	t.growing = t.growth > max(m.slack, float64(share*t.mean))
	return t
}
