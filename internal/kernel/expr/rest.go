package expr

// A rest is so many rows long, each time longer.
const minRest, maxRest = 1 << 16, 1 << 24

// payback is how often a string must come again, on average, to pay for its entry.
const payback = 6

// rests says when a dictionary rests: when its strings came again less than payback
// times by the time it is full, or hardly at all by the time it is quarter full. Each
// rest is twice as long as the one before it.
type rests struct {
	hits int // rows whose string had a code already, in this generation
	next int // rows of the next rest
	left int // rows of this rest that are left
}

// pass lets n rows pass and reports whether the dictionary rests while they do.
func (r *rests) pass(n int) bool {
	if r.left <= 0 {
		return false
	}
	r.left -= n
	return true
}

// due judges a generation of so many entries, and begins a rest if one is due. A
// generation that is full ends.
func (r *rests) due(entries, limit int, full bool) bool {
	poor := r.poor(entries, limit, full)
	if poor {
		r.left, r.next = r.next, min(2*r.next, maxRest)
	}
	if poor || full {
		r.hits = 0
	}
	return poor
}

func (r *rests) poor(entries, limit int, full bool) bool {
	if full {
		return r.hits < payback*entries
	}
	return entries > limit/4 && r.hits < entries/4
}
