package report

// Delays counts the delays until labels were known.
type Delays struct {
	classes int
	seconds *histogram // by class, the last that of rows without a label
	never   []int64
	slower  []int64 // than the horizon
}

// NewDelays makes Delays for the given number of classes.
func NewDelays(classes int) *Delays {
	return &Delays{classes, newHistogram(classes + 1), make([]int64, classes+1), make([]int64, classes+1)}
}

func (d *Delays) code(class uint8) uint8 { return min(class, uint8(d.classes)) }

// Never counts a row whose label has no known time.
func (d *Delays) Never(class uint8) { d.never[d.code(class)]++ }

// Add counts a label that was known some seconds after its row's time.
func (d *Delays) Add(class uint8, seconds float64, slower bool) {
	c := d.code(class)
	d.seconds.add(seconds, c)
	if slower {
		d.slower[c]++
	}
}

// ByClass lists the delays of the classes that have rows.
func (d *Delays) ByClass(names []string) []ClassDelay {
	var out []ClassDelay
	buckets := d.seconds.buckets()
	for c := range d.classes + 1 {
		x := ClassDelay{NeverKnown: d.never[c], SlowerThanHorizon: d.slower[c], Rows: d.never[c]}
		if c < len(names) {
			x.Class = names[c]
		}
		x.Quantiles = quantilesIn(buckets, func(counts []uint32) int64 { return int64(counts[c]) })
		for _, b := range buckets {
			x.Rows += int64(b.counts[c])
		}
		if x.Rows > 0 {
			out = append(out, x)
		}
	}
	return out
}
