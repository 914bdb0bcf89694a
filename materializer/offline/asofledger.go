package offline

import (
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/ledger"
)

// LedgerManifest says how far the ledger of a source was from the known times that it declares.
type LedgerManifest struct {
	From string `json:"from,omitempty"` // the time for which there are records; absent if there are none
	To   string `json:"to,omitempty"`   // absent if every later time counts, for a source without a stream
	// SHA256 is that of the records.
	SHA256 string `json:"sha256,omitempty"`
	// RowsOutside are the rows of the spine as of other times. There, declared known times hold.
	RowsOutside int64 `json:"rows_outside"`
	// Delays of deliveries of rows, from when they are known as the source declares, or were stored in
	// the log, to when serving could see them.
	Delays Delays `json:"delays"`
}

// Delays are quantiles of delays, in microseconds, at most a 32nd too great.
type Delays struct {
	N     int64 `json:"n"`
	P50   int64 `json:"p50_us"`
	P99   int64 `json:"p99_us"`
	Max   int64 `json:"max_us"`
	Never int64 `json:"never"` // serving has not seen so far; not in N
}

// delayCounts counts delays by size: 32 sizes for each power of two.
type delayCounts struct {
	bySize [64 * sizesOfPower]int64
	never  int64
}

const (
	sizeBits     = 5
	sizesOfPower = 1 << sizeBits
)

// sizeOf is the number of the size of a delay.
func sizeOf(d uint64) int {
	if d < sizesOfPower {
		return int(d)
	}
	shift := bits.Len64(d) - 1 - sizeBits
	return (shift+1)<<sizeBits + int(d>>shift) - sizesOfPower
}

// largest is the largest delay of a size.
func largest(size int) int64 {
	if size < sizesOfPower {
		return int64(size)
	}
	shift := size>>sizeBits - 1
	return int64((uint64(size&(sizesOfPower-1))+sizesOfPower+1)<<shift - 1)
}

func (c *delayCounts) add(known, seen plan.EventTime) {
	if seen == plan.Never {
		c.never++
		return
	}
	c.bySize[sizeOf(uint64(seen-known))]++
}

func (c *delayCounts) merge(d *delayCounts) {
	for i, n := range d.bySize {
		c.bySize[i] += n
	}
	c.never += d.never
}

// quantiles are, of n delays those of rank ⌈n/2⌉, ⌈0.99·n⌉ and n.
func (c *delayCounts) quantiles() Delays {
	d := Delays{Never: c.never}
	for _, n := range c.bySize {
		d.N += n
	}
	for size, before := 0, int64(0); size < len(c.bySize); size++ {
		n := c.bySize[size]
		if n == 0 {
			continue
		}
		if before < (d.N+1)/2 {
			d.P50 = largest(size)
		}
		if before < (d.N*99+99)/100 {
			d.P99 = largest(size)
		}
		d.Max = largest(size)
		before += n
	}
	return d
}

// asOfLedger reports whether the training set is as of what servers have recorded.
func (t *trainer) asOfLedger() bool { return t.Ledger != nil }

// ledgerManifest describes the ledger of a source; nil if the set does not ask for it.
func (t *trainer) ledgerManifest(s *source) *LedgerManifest {
	if !t.asOfLedger() {
		return nil
	}
	of := t.Ledger[s.plan.Name]
	if of == nil {
		return &LedgerManifest{RowsOutside: int64(t.spine.rows())}
	}
	m := &LedgerManifest{SHA256: fmt.Sprintf("%x", of.Sum()), Delays: s.counts.delays.quantiles()}
	from, to := of.Bounds()
	m.From = from.String()
	if to != plan.Never {
		m.To = to.String()
	}
	for _, at := range t.spine.at {
		if at < from || at > to {
			m.RowsOutside++
		}
	}
	return m
}

// ledgerWarnings says for which rows serving's view of the events is not known.
func (m *Manifest) ledgerWarnings() (w []string) {
	for _, s := range m.Sources {
		switch l := s.Ledger; {
		case l == nil || l.RowsOutside == 0:
		case l.From == "":
			w = append(w, fmt.Sprintf("source %s: no server has recorded when its events became visible, so they count from their declared known times", s.Name))
		default:
			to := "now"
			if l.To != "" {
				to = l.To
			}
			w = append(w, fmt.Sprintf("source %s: %d of %d rows are as of times outside %s to %s, for which servers have recorded when its events became visible; there, declared known times hold",
				s.Name, l.RowsOutside, m.Spine.Rows, l.From, to))
		}
	}
	return w
}

// delayNote is the note about a feature that has other values as of the ledger: what delays its sources had.
func (m *Manifest) delayNote(sources []string) (text string) {
	for _, s := range m.Sources {
		if l := s.Ledger; l != nil && l.Delays.N+l.Delays.Never > 0 && slices.Contains(sources, s.Name) {
			text += fmt.Sprintf("; of the rows of %s, serving saw half within %v, 99 %% within %v and all within %v of when they were known",
				s.Name, aboutAtMost(l.Delays.P50), aboutAtMost(l.Delays.P99), aboutAtMost(l.Delays.Max))
			if l.Delays.Never > 0 {
				text += fmt.Sprintf(", but for %d that it has not seen yet", l.Delays.Never)
			}
		}
	}
	return text
}

// aboutAtMost rounds a delay of so many microseconds up, for people.
func aboutAtMost(us int64) time.Duration {
	d, unit := time.Duration(us)*time.Microsecond, 10*time.Millisecond
	switch {
	case d >= time.Hour:
		unit = time.Minute
	case d >= time.Minute:
		unit = time.Second
	}
	return (d + unit - 1).Truncate(unit)
}

// LedgerOf has the ledgers of some sources, by name.
type LedgerOf map[string]*ledger.Source
