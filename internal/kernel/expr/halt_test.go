package expr

import "testing"

// TestStopWhen: an evaluation that cel-go runs row by row calls stop soon, but not for every
// row.
func TestStopWhen(t *testing.T) {
	p := program(t, "[s, t, s].join('-') == s")
	if len(p.Fallbacks()) == 0 {
		t.Fatal("the expression has no fallback")
	}
	const rows = 1000
	asked := 0
	cols := tameColumns(rows)
	p.StopWhen(func() bool { asked++; return false })
	p.Eval(cols, rows, nil)
	if asked == 0 || asked > rows/checkEvery+1 {
		t.Errorf("called stop %d times in %d rows", asked, rows)
	}
	p.StopWhen(func() bool { return true })
	defer func() {
		if r := recover(); r != ErrStopped {
			t.Errorf("when stopped, it panics with %v", r)
		}
	}()
	p.Eval(cols, rows, nil)
}
