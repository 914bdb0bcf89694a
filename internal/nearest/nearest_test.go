package nearest

import "testing"

func TestName(t *testing.T) {
	candidates := []string{"amount", "account", "user_id", "ts", ""}
	for _, tc := range []struct{ name, want string }{
		{"amout", "amount"},
		{"Amount", "amount"},
		{"acccount", "account"},
		{"userid", "user_id"},
		{"st", ""},
		{"t", "ts"},
		{"country", ""},
	} {
		if got, _ := Name(tc.name, candidates); got != tc.want {
			t.Errorf("Name(%q) = %q, want %q", tc.name, got, tc.want)
		}
	}
	if got := Hint("amout", candidates); got != ` (did you mean "amount"?)` {
		t.Errorf("Hint = %q", got)
	}
	if got := Hint("zzz", nil); got != "" {
		t.Errorf("Hint without candidates = %q", got)
	}
}
