package expr

// The shortest and the longest pause, in rows.
const minPause, maxPause = 1 << 16, 1 << 24

// payback is how often a string must repeat, on average, to pay for its entry.
const payback = 6

// backoff decides when a dictionary pauses: when it is full and its strings repeated less
// than payback times, or when it is a quarter full and they hardly repeated. Each pause is
// twice as long as the one before it.
type backoff struct {
	hits int // rows of this generation whose string already had a code
	next int // length of the next pause, in rows
	left int // remaining rows of this pause
}

// skip counts n rows and reports whether the dictionary is paused for them.
func (r *backoff) skip(n int) bool {
	if r.left <= 0 {
		return false
	}
	r.left -= n
	return true
}

// assess begins a pause if the strings of this generation repeated too rarely, and reports
// whether it did. full says that the generation ends.
func (r *backoff) assess(entries, limit int, full bool) bool {
	poor := r.poor(entries, limit, full)
	if poor {
		r.left, r.next = r.next, min(2*r.next, maxPause)
	}
	if poor || full {
		r.hits = 0
	}
	return poor
}

func (r *backoff) poor(entries, limit int, full bool) bool {
	if full {
		return r.hits < payback*entries
	}
	return entries > limit/4 && r.hits < entries/4
}
