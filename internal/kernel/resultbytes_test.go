package kernel

import (
	"fmt"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// TestP8_ResultsCountTheirElements: a result of lists takes the memory of their elements, which is what
// decides how much of the results is in memory at once.
func TestP8_ResultsCountTheirElements(t *testing.T) {
	const elements, text = 20, 30
	v := vector.New(plan.ListOf(plan.T(plan.String)), 1)
	var list []plan.Value
	for i := range elements {
		list = append(list, plan.StringValue(fmt.Sprintf("%0*d", text, i)))
	}
	v.Set(0, plan.ListValue(list))
	p := &PartResults{N: 1, Aggs: []*vector.Vector{v}}
	// A string and its header, at least.
	if got := p.Bytes(); got < elements*(16+text) || got > 10*elements*(16+text) {
		t.Errorf("%d elements of %d bytes are counted as %d bytes", elements, text, got)
	}
}

// TestP8_ListsOfAChunkStayPacked: of the chunks that are read while a training set is written, one of each part is in memory, and those that a
// row group refers to, so that their lists must not take several times what they take in the file.
func TestP8_ListsOfAChunkStayPacked(t *testing.T) {
	const rows, elements = 100, 20
	listed := plan.ListOf(plan.T(plan.String))
	v := vector.New(listed, rows)
	for row := range rows {
		var list []plan.Value
		for i := range elements {
			list = append(list, plan.StringValue(fmt.Sprintf("%d-%d", row, i)))
		}
		v.Set(row, plan.ListValue(list))
	}
	v.SetNull(7)
	p := &PartResults{N: rows, Known: vector.NewBitmap(rows), Few: vector.NewBitmap(rows), Aggs: []*vector.Vector{v}}
	file := p.AppendChunk(nil, 0, rows)
	r := &Replay{view: &View{aggs: []*vector.Vector{vector.New(listed, 0)}}}
	read, err := r.ReadChunk(file)
	if err != nil {
		t.Fatal(err)
	}
	if read.Bytes() > 2*len(file) {
		t.Errorf("a chunk of %d bytes takes %d", len(file), read.Bytes())
	}
	for row := range int32(rows) {
		if got, want := read.composite(0, row), v.Value(int(row)); plan.Compare(got, want) != 0 {
			t.Fatalf("row %d is %v, want %v", row, got, want)
		}
		if got, want := read.TextBytes(row), p.TextBytes(row); got != want {
			t.Errorf("row %d counts %d bytes of text, %d before it was written", row, got, want)
		}
	}
	for n := range file {
		if _, err := r.ReadChunk(file[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are a chunk", n, len(file))
		}
	}
}
