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
