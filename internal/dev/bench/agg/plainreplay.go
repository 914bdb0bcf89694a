package main

import "slices"

// answers are the nine columns of the replay, by window, one value per spine row.
type answers struct {
	sum, max [3][]float64 // max is 0 where the count is
	count    [3][]int64
}

func newAnswers(n int) *answers {
	a := &answers{}
	for w := range windows {
		a.sum[w], a.max[w], a.count[w] = make([]float64, n), make([]float64, n), make([]int64, n)
	}
	return a
}

// history is the events of all users, grouped by user.
type history struct {
	first  []int32 // where the events of each user begin, and the end
	at     []int64
	amount []float64
}

// plainReplay is a replay written for this job only: it numbers the users of the spine,
// scatters the events by user, and slides three windows over each user's events.
func plainReplay(events, spine *columns) *answers {
	number := make(map[int64]int32)
	of := make([]int32, len(spine.user))
	for i, u := range spine.user {
		id, ok := number[u]
		if !ok {
			id = int32(len(number))
			number[u] = id
		}
		of[i] = id
	}
	h := scatter(events, number)
	rows, first := rowsByUser(of, len(number))
	out := newAnswers(len(of))
	var s slide
	for u := range len(number) {
		mine := rows[first[u]:first[u+1]]
		if !slices.IsSortedFunc(mine, func(a, b int32) int { return int(spine.at[a] - spine.at[b]) }) {
			slices.SortFunc(mine, func(a, b int32) int { return int(spine.at[a] - spine.at[b]) })
		}
		s.begin(h.at[h.first[u]:h.first[u+1]], h.amount[h.first[u]:h.first[u+1]])
		for _, row := range mine {
			s.to(spine.at[row])
			s.read(out, row)
		}
	}
	return out
}

// scatter groups the events of numbered users. Events arrive in order of time, so those of each
// user are in order of time too.
func scatter(events *columns, number map[int64]int32) *history {
	of := make([]int32, len(events.user))
	h := &history{first: make([]int32, len(number)+1)}
	for i, u := range events.user {
		id, ok := number[u]
		if !ok {
			of[i] = -1
			continue
		}
		of[i] = id
		h.first[id+1]++
	}
	for i := range len(number) {
		h.first[i+1] += h.first[i]
	}
	next := slices.Clone(h.first)
	total := h.first[len(number)]
	h.at, h.amount = make([]int64, total), make([]float64, total)
	for i, id := range of {
		if id >= 0 {
			p := next[id]
			next[id]++
			h.at[p], h.amount[p] = events.at[i], events.amount[i]
		}
	}
	return h
}

func rowsByUser(of []int32, users int) (rows, first []int32) {
	first = make([]int32, users+1)
	for _, u := range of {
		first[u+1]++
	}
	for u := range users {
		first[u+1] += first[u]
	}
	next := slices.Clone(first)
	rows = make([]int32, len(of))
	for i, u := range of {
		rows[next[u]] = int32(i)
		next[u]++
	}
	return rows, first
}

// slide is the three windows over one user's events.
type slide struct {
	at     []int64
	amount []float64
	in     int // events before the head
	w      [3]sliding
}

// sliding is one window: events [out, in), their running sum, and the events that may still
// become the maximum, largest first.
type sliding struct {
	out   int
	sum   float64
	deque []int32
	front int
}

func (s *slide) begin(at []int64, amount []float64) {
	s.at, s.amount, s.in = at, amount, 0
	for w := range s.w {
		s.w[w] = sliding{deque: s.w[w].deque[:0]}
	}
}

// to moves the windows to t.
func (s *slide) to(t int64) {
	from := s.in
	for s.in < len(s.at) && s.at[s.in] < t {
		s.in++
	}
	for w := range s.w {
		win := &s.w[w]
		for i := from; i < s.in; i++ {
			x := s.amount[i]
			win.sum += x
			d := win.deque
			for len(d) > win.front && s.amount[d[len(d)-1]] <= x {
				d = d[:len(d)-1]
			}
			win.deque = append(d, int32(i))
		}
		tail := lower(w, t)
		for win.out < s.in && s.at[win.out] < tail {
			win.sum -= s.amount[win.out]
			win.out++
		}
		for win.front < len(win.deque) && int(win.deque[win.front]) < win.out {
			win.front++
		}
	}
}

func (s *slide) read(out *answers, row int32) {
	for w := range s.w {
		win := &s.w[w]
		out.sum[w][row], out.count[w][row] = win.sum, int64(s.in-win.out)
		if win.front < len(win.deque) {
			out.max[w][row] = s.amount[win.deque[win.front]]
		}
	}
}
