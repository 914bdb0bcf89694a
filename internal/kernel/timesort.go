package kernel

import (
	"cmp"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// timeSorter sorts rows by their times. Its scratch memory is bounded by mostRadix.
type timeSorter struct {
	rows, other []timedRow
	counts      [radixDigits][radixSize]int32
}

// timedRow is a row with its time, counted from the earliest of the rows being sorted.
type timedRow struct {
	time uint64
	row  int32
}

// Up to fewRows rows are sorted fastest by insertion. From leastRadix to mostRadix rows, a
// radix sort takes a fraction of the time of a comparison sort; fewer rows do not repay the
// clearing of its counters, more would take scratch memory without bound.
const (
	fewRows    = 40
	leastRadix = 1 << 8
	mostRadix  = 1 << 22
)

// The radix sort looks at 11 bits of the times at once.
const (
	radixBits   = 11
	radixSize   = 1 << radixBits
	radixDigits = (64 + radixBits - 1) / radixBits
)

// sort sorts rows, which are in ascending order, by their times, equal ones by their numbers.
func (s *timeSorter) sort(rows []int32, times []plan.EventTime) {
	for i := 1; i < len(rows); i++ {
		switch {
		case times[rows[i-1]] <= times[rows[i]]:
		case len(rows) <= fewRows:
			insertRow(rows[:i+1], times)
		case len(rows) < leastRadix || len(rows) > mostRadix:
			slices.SortFunc(rows, func(a, b int32) int { return cmp.Or(cmp.Compare(times[a], times[b]), cmp.Compare(a, b)) })
			return
		default:
			s.radix(rows, times)
			return
		}
	}
}

// insertRow moves the last of rows to its position; the others are sorted already.
func insertRow(rows []int32, times []plan.EventTime) {
	row := rows[len(rows)-1]
	at, i := times[row], len(rows)-1
	for ; i > 0; i-- {
		before := rows[i-1]
		if t := times[before]; t < at || t == at && before < row {
			break
		}
		rows[i] = before
	}
	rows[i] = row
}

// radix sorts by one digit of the times after the other, from the least significant on. Each
// pass keeps the order of rows with equal digits, so equal times stay in the order of rows.
func (s *timeSorter) radix(rows []int32, times []plan.EventTime) {
	digits := s.prepare(rows, times)
	for d := range digits {
		counts, shift := &s.counts[d], uint(d*radixBits)
		next := int32(0)
		for i, n := range counts {
			counts[i] = next
			next += n
		}
		for _, r := range s.rows {
			at := &counts[r.time>>shift&(radixSize-1)]
			s.other[*at] = r
			*at++
		}
		s.rows, s.other = s.other, s.rows
	}
	for i, r := range s.rows {
		rows[i] = r.row
	}
}

// prepare copies the rows with their times, counts how often each digit occurs, and returns
// the number of digits of the latest time.
func (s *timeSorter) prepare(rows []int32, times []plan.EventTime) (digits int) {
	first, last := times[rows[0]], times[rows[0]]
	for _, row := range rows {
		first, last = min(first, times[row]), max(last, times[row])
	}
	for span := uint64(last) - uint64(first); span > 0; span >>= radixBits {
		clear(s.counts[digits][:])
		digits++
	}
	s.rows, s.other = grown(s.rows, len(rows)), grown(s.other, len(rows))
	for i, row := range rows {
		t := uint64(times[row]) - uint64(first)
		s.rows[i] = timedRow{t, row}
		for d := range digits {
			s.counts[d][t>>(uint(d)*radixBits)&(radixSize-1)]++
		}
	}
	return digits
}
