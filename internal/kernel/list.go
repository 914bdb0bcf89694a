package kernel

// list is a column that grows by whole blocks: what it has is never copied to grow,
// and goes away block by block once it is moved on.
type list[T any] struct {
	blocks [][]T
	n      int
}

// Blocks are larger the longer the list, between these bounds.
const (
	leastBlock = 1 << 8
	mostBlock  = 1 << 16
)

// append appends the selected values.
func (l *list[T]) append(values []T, sel []int32) {
	if len(sel) == len(values) {
		l.appendAll(values)
		return
	}
	for len(sel) > 0 {
		b := l.room()
		n := min(len(sel), cap(*b)-len(*b))
		for _, i := range sel[:n] {
			*b = append(*b, values[i])
		}
		sel = sel[n:]
		l.n += n
	}
}

func (l *list[T]) appendAll(values []T) {
	for len(values) > 0 {
		b := l.room()
		n := min(len(values), cap(*b)-len(*b))
		*b = append(*b, values[:n]...)
		values = values[n:]
		l.n += n
	}
}

// room is a block with room for a value.
func (l *list[T]) room() *[]T {
	last := len(l.blocks) - 1
	if last < 0 || len(l.blocks[last]) == cap(l.blocks[last]) {
		l.blocks = append(l.blocks, make([]T, 0, min(max(l.n, leastBlock), mostBlock)))
		last++
	}
	return &l.blocks[last]
}

// clone is a list with the same values.
func (l *list[T]) clone() list[T] {
	var c list[T]
	for _, b := range l.blocks {
		c.appendAll(b)
	}
	return c
}

// moved is the values with number i at to[i]; the list is empty afterwards.
func (l *list[T]) moved(to []int32) []T {
	out := make([]T, l.n)
	for b, values := range l.blocks {
		for i, x := range values {
			out[to[i]] = x
		}
		to = to[len(values):]
		l.blocks[b] = nil
	}
	*l = list[T]{}
	return out
}

// places says where each value goes in an order by value, values being in [0, n) and
// equal ones keeping their order; first is where each value begins, and one more.
func places(blocks [][]int32, n int) (first, to []int32) {
	first = make([]int32, n+1)
	total := 0
	for _, block := range blocks {
		total += len(block)
		for _, v := range block {
			first[v+1]++
		}
	}
	for i := range n {
		first[i+1] += first[i]
	}
	next := make([]int32, n)
	copy(next, first)
	to = make([]int32, 0, total)
	for _, block := range blocks {
		for _, v := range block {
			to = append(to, next[v])
			next[v]++
		}
	}
	return first, to
}
