package expr

import "testing"

// TestStopWhen: what cel-go runs row by row asks whether to stop, soon and not for every row.
func TestStopWhen(t *testing.T) {
	p := program(t, "[s, t, s].join('-') == s")
	if len(p.Fallbacks()) == 0 {
		t.Fatal("nothing is left to cel-go")
	}
	const rows = 1000
	asked := 0
	cols := tameColumns(rows)
	p.StopWhen(func() bool { asked++; return false })
	p.Eval(cols, rows, nil)
	if asked == 0 || asked > rows/askEvery+1 {
		t.Errorf("asked %d times in %d rows", asked, rows)
	}
	p.StopWhen(func() bool { return true })
	defer func() {
		if r := recover(); r != ErrStopped {
			t.Errorf("told to stop, it panics with %v", r)
		}
	}()
	p.Eval(cols, rows, nil)
}
