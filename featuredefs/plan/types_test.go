package plan

import "testing"

func TestTypesReadBack(t *testing.T) {
	for _, want := range []Type{T(Int), T(Timestamp), ListOf(T(String)), MapOf(T(String), OptionalOf(T(Double))), OptionalOf(ListOf(ListOf(T(Bool))))} {
		got, err := ParseType(want.String())
		if err != nil || !got.Equal(want) {
			t.Errorf("%v reads back as %v, %v", want, got, err)
		}
	}
	for _, bad := range []string{"", "integer", "list", "list(", "list()", "list(int", "list(int))", "map(int)", "map(int,int)", "int)", "invalid"} {
		if got, err := ParseType(bad); err == nil {
			t.Errorf("%q reads as %v", bad, got)
		}
	}
}
