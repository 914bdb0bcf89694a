package offline

import (
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/vector"
)

// TestRowsThatCannotBeServed: training refuses the keys and request fields that serving
// refuses, and names the first such row.
func TestRowsThatCannotBeServed(t *testing.T) {
	field := func(name string, k plan.Kind) plan.Field { return plan.Field{Name: name, Type: plan.T(k)} }
	service := &plan.Service{
		Keys:    []plan.Field{field("id", plan.String), field("day", plan.Timestamp)},
		Request: []plan.Field{field("note", plan.String), field("due", plan.Timestamp)},
	}
	s := newSpine(&plan.TrainingSet{Service: service, Spine: plan.Spine{Time: "at"}})
	longest := strings.Repeat("x", limits.RequestTextBytes)
	for _, tc := range []struct {
		column string
		value  plan.Value
		want   string // "" for none
	}{
		{"id", plan.StringValue("a\xff"), "not valid UTF-8"},
		{"id", plan.StringValue(longest + "x"), ""},
		{"day", plan.TimestampValue(plan.Never), "outside the years 0001 to 9999"},
		{"note", plan.StringValue(longest), ""},
		{"note", plan.StringValue(longest + "x"), "the value of a request field has 4097 bytes, at most 4096 are allowed"},
		{"due", plan.TimestampValue(plan.MinTime - 1), "outside the years 0001 to 9999"},
		{"due", plan.NullValue(), ""},
	} {
		b := vector.NewBatch(s.fields, 3)
		b.Col(tc.column).Set(1, tc.value)
		b.Col(tc.column).Set(2, tc.value)
		row, err := s.refuse(b)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", tc.column, err)
		case tc.want != "" && (err == nil || row != 1 || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.column)):
			t.Errorf("%s: row %d, %v; want %q", tc.column, row, err, tc.want)
		}
	}
}
