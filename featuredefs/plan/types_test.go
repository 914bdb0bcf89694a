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

func TestDepth(t *testing.T) {
	for text, want := range map[string]int{
		"int": 0, "dyn": 0, "list(int)": 1, "optional(list(int))": 2, "map(string, list(list(int)))": 3, "map(list(int), int)": 2,
	} {
		typ, err := ParseType(text)
		if err != nil || typ.Depth() != want {
			t.Errorf("%s is %d deep, want %d (%v)", text, typ.Depth(), want, err)
		}
	}
}
