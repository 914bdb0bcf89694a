package training

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Results says what the results take on the disk.
type Results struct {
	Bytes   int64 // of those that are kept
	Limit   int64
	Removed int64 // results that were removed early, since the queue was opened
}

// Results returns what the results take now.
func (q *Queue) Results() Results {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Results{Bytes: q.resultBytes(), Limit: q.cfg.MaxResults, Removed: q.removed}
}

// resultBytes sums the results of the jobs that have ended. The caller holds mu.
func (q *Queue) resultBytes() (n int64) {
	for _, j := range q.jobs {
		n += j.bytes
	}
	return n
}

// tooLarge is the error of a result that has more bytes than all together may have.
func (q *Queue) tooLarge(bytes int64) error {
	return fmt.Errorf("its result has %d bytes, and the server keeps at most %d of all results; ask for fewer rows or features, or start the server with more --training-results", bytes, q.cfg.MaxResults)
}

// makeRoom removes the results that ended first until all are within the limit, except that of keep and
// those that are being read. The caller holds mu.
func (q *Queue) makeRoom(keep string) {
	total := q.resultBytes()
	if total <= q.cfg.MaxResults {
		return
	}
	var ended []*Job
	for _, j := range q.jobs {
		if j.State.Ended() && j.bytes > 0 && j.ID != keep && q.reading[j.ID] == 0 {
			ended = append(ended, j)
		}
	}
	slices.SortFunc(ended, func(a, b *Job) int { return cmp.Or(a.Ended.Compare(b.Ended), cmp.Compare(a.ID, b.ID)) })
	for _, j := range ended {
		if total <= q.cfg.MaxResults {
			return
		}
		if err := os.RemoveAll(q.dir(j.ID)); err != nil {
			q.cfg.Log.Error("removing a training set failed", "id", j.ID, "error", err)
			continue
		}
		q.cfg.Log.Info("a training set was removed to make room for newer ones", "id", j.ID, "bytes", j.bytes)
		total -= j.bytes
		q.removed++
		delete(q.jobs, j.ID)
	}
}

// hold keeps a result from being removed for room while it is read; the caller calls release.
func (q *Queue) hold(id string) (release func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reading[id]++
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.reading[id]--; q.reading[id] > 0 {
			return
		}
		delete(q.reading, id)
		q.makeRoom("")
	}
}

// sizeOf sums the files below a folder; those that vanish meanwhile do not count.
func sizeOf(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return n
}
