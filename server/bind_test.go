package server

import (
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/wire"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// A key and a request field of the same name come from one column of a spine, so a request
// must not give them different values.
func TestKeyAndRequestFieldOfOneName(t *testing.T) {
	definition := project().Services[0]
	definition.Request = append(definition.Request, plan.Field{Name: "merchant", Type: stringType})
	s, err := newService(definition)
	if err != nil {
		t.Fatal(err)
	}
	texts := func(name string, values ...string) *unskewv1.Column {
		return &unskewv1.Column{Name: name, Values: &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: values}}}
	}
	ints := func(name string) *unskewv1.Column {
		return &unskewv1.Column{Name: name, Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: []int64{1, 2}}}}
	}
	amounts := &unskewv1.Column{Name: "amount", Values: &unskewv1.Column_Doubles{Doubles: &unskewv1.Doubles{Values: []float64{1, 2}}}}
	null := texts("merchant", "kiosk", "")
	null.Nulls = []uint32{1}
	for _, c := range []struct {
		name         string
		key, request *unskewv1.Column
		want         string
	}{
		{"equal", texts("merchant", "kiosk", "bar"), texts("merchant", "kiosk", "bar"), ""},
		{"both null", null, null, ""},
		{"different", texts("merchant", "kiosk", "bar"), texts("merchant", "kiosk", "bank"), `row 1: "merchant" is "bar" as a key and "bank" as a request field`},
		{"null and empty", null, texts("merchant", "kiosk", ""), `row 1: "merchant" is null as a key and "" as a request field`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := bindMessage(s, &unskewv1.GetFeaturesRequest{
				Keys:    []*unskewv1.Column{ints("user_id"), ints("receiver_id"), c.key},
				Request: []*unskewv1.Column{amounts, texts("note", "", ""), c.request},
			})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// The cost of expressions is bounded for short texts only, so longer ones are refused.
func TestRequestTextsAreShort(t *testing.T) {
	s, err := newService(project().Services[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{limits.RequestTextBytes, limits.RequestTextBytes + 1} {
		ints := &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: []int64{1}}}
		err := bindMessage(s, &unskewv1.GetFeaturesRequest{
			Keys: []*unskewv1.Column{{Name: "user_id", Values: ints}, {Name: "receiver_id", Values: ints},
				{Name: "merchant", Values: &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: []string{"kiosk"}}}}},
			Request: []*unskewv1.Column{{Name: "amount", Values: &unskewv1.Column_Doubles{Doubles: &unskewv1.Doubles{Values: []float64{1}}}},
				{Name: "note", Values: &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: []string{strings.Repeat("x", n)}}}}},
		})
		if long := n > limits.RequestTextBytes; (err != nil) != long || long && !strings.Contains(err.Error(), `request field "note"`) {
			t.Errorf("a note of %d bytes: %v", n, err)
		}
	}
}

func bindMessage(s *service, m *unskewv1.GetFeaturesRequest) error {
	var r wire.Read
	r.Set(m)
	return s.bind(&query{}, &r, 10)
}
