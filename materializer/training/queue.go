package training

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/unskew/unskew/internal/limits"
)

// Config configures a queue. A limit of zero means the default.
type Config struct {
	// Dir contains jobs, results and uploaded spines. It is created if missing and belongs to
	// one queue.
	Dir string
	// Check rejects a spec that Build could not fulfil, such as an unknown name or a missing
	// time, with a message for the caller.
	Check func(Spec) error
	// Build writes the training set to the directory out and reports its progress. spine is
	// the path of the uploaded spine, "" if the spec names none.
	Build func(ctx context.Context, s Spec, spine, out string, progress func(Progress)) error
	Clock func() time.Time
	Log   *slog.Logger
	Arrow Arrow

	MaxQueued  int           // waiting jobs; default 16
	MaxKept    int           // jobs that wait, run or have ended and are kept; default 1000
	MaxSpine   int64         // bytes of one uploaded spine; default 1 GiB
	MaxSpines  int64         // bytes of those that are kept, from which no more are taken; default 8 GiB
	MaxResults int64         // bytes of all results; those that ended first are removed to keep it; default 64 GiB
	MaxBatch   int64         // bytes of memory for one of its batches, decompressed; default limits.SpineBatch
	Keep       time.Duration // how long results and unused spines are kept; default 24 h
}

// Arrow copies Arrow IPC streams to Parquet files and back, as package arrowparquet does.
type Arrow struct {
	// Write copies a stream to w and returns its number of rows.
	// A batch takes at most so many bytes of memory, a stream with a larger one is an error.
	Write func(r io.Reader, w io.Writer, mostBatch int64) (rows int64, err error)
	// Read writes the rows of a file from the given one on to w, and calls written after each batch with
	// the number of the next row.
	Read func(ctx context.Context, path string, from int64, w io.Writer, written func(next int64) error) error
}

// The default limits.
const (
	DefaultMaxQueued  = 16
	DefaultMaxKept    = 1000
	DefaultMaxSpine   = 1 << 30
	DefaultMaxSpines  = 8 << 30
	DefaultMaxResults = 64 << 30
	DefaultMaxBatch   = limits.SpineBatch
	DefaultKeep       = 24 * time.Hour
)

// Queue runs one job at a time, so each has the machine and its memory to itself. Its methods
// are safe for concurrent use.
type Queue struct {
	cfg  Config
	wake chan struct{} // signals that a job is waiting

	mu      sync.Mutex
	jobs    map[string]*Job
	cancel  context.CancelFunc // of the running job
	begun   time.Time          // start of its phase
	reading map[string]int     // how many reads each result has now
	removed int64              // results that made room for others
}

// mostStarts is how often a job is begun that ends the whole process, as one may that takes too much memory.
const mostStarts = 3

// Open loads the jobs that an earlier queue left in the directory. A job that was running
// then is queued again, or fails if its process ended mostStarts times. Nothing runs until Run.
func Open(c Config) (*Queue, error) {
	c.MaxQueued = cmp.Or(c.MaxQueued, DefaultMaxQueued)
	c.MaxKept = cmp.Or(c.MaxKept, DefaultMaxKept)
	c.MaxSpine = cmp.Or(c.MaxSpine, DefaultMaxSpine)
	c.MaxSpines = cmp.Or(c.MaxSpines, DefaultMaxSpines)
	c.MaxResults = cmp.Or(c.MaxResults, DefaultMaxResults)
	c.MaxBatch = cmp.Or(c.MaxBatch, DefaultMaxBatch)
	c.Keep = cmp.Or(c.Keep, DefaultKeep)
	q := &Queue{cfg: c, wake: make(chan struct{}, 1), jobs: map[string]*Job{}, reading: map[string]int{}}
	for _, dir := range []string{q.jobsDir(), q.spinesDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	dirs, err := os.ReadDir(q.jobsDir())
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		j, err := loadJob(q.dir(d.Name()))
		if errors.Is(err, os.ErrNotExist) { // crashed before the job was acknowledged
			err = os.RemoveAll(q.dir(d.Name()))
			j = nil
		}
		if err != nil {
			return nil, err
		}
		if j == nil {
			continue
		}
		q.jobs[j.ID] = j
		if j.State.Ended() {
			j.bytes = sizeOf(q.out(j.ID))
		}
		if j.State != Running {
			continue
		}
		if j.State = Queued; j.Starts >= mostStarts {
			if err := os.RemoveAll(q.out(j.ID)); err != nil {
				return nil, err
			}
			q.end(j, Failed, fmt.Sprintf("the server ended %d times while it built this training set, so it does not try again; its log, or that of the machine, says why", j.Starts))
		}
	}
	q.makeRoom("")
	q.signal()
	return q, nil
}

func (q *Queue) jobsDir() string      { return filepath.Join(q.cfg.Dir, "jobs") }
func (q *Queue) dir(id string) string { return filepath.Join(q.jobsDir(), id) }
func (q *Queue) out(id string) string { return filepath.Join(q.dir(id), "set") }

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Create queues a job and returns it. For an existing id it returns that job if the specs are
// equal, else ErrConflict; without an id it generates one.
func (q *Queue) Create(id string, s Spec) (Job, error) {
	if id == "" {
		id = strings.ToLower(rand.Text())
	}
	if !validID.MatchString(id) {
		return Job{}, invalid("id %q: use at most 128 letters, digits, - and _", id)
	}
	if err := q.cfg.Check(s); err != nil {
		return Job{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if j, ok := q.jobs[id]; ok {
		if j.Spec != s {
			return Job{}, fmt.Errorf("%w: %s", ErrConflict, id)
		}
		return *j, nil
	}
	if n := q.queued(); n >= q.cfg.MaxQueued {
		return Job{}, fmt.Errorf("%w: %d are waiting, which is the limit; try again when one has ended", ErrFull, n)
	}
	if len(q.jobs) >= q.cfg.MaxKept {
		return Job{}, fmt.Errorf("%w: %d are kept, which is the limit; they expire %v after they have ended", ErrFull, len(q.jobs), q.cfg.Keep)
	}
	if s.Spine != "" {
		if err := q.touchSpine(s.Spine); err != nil {
			return Job{}, err
		}
	}
	j := &Job{ID: id, Spec: s, State: Queued, Created: q.cfg.Clock()}
	err := noRoom(os.MkdirAll(q.dir(id), 0o700))
	if err == nil {
		err = j.save(q.dir(id))
	}
	if err != nil {
		return Job{}, errors.Join(err, os.RemoveAll(q.dir(id)))
	}
	q.jobs[id] = j
	q.signal()
	return *j, nil
}

var validID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

func (q *Queue) queued() (n int) {
	for _, j := range q.jobs {
		if j.State == Queued {
			n++
		}
	}
	return n
}

// Get returns a job.
func (q *Queue) Get(id string) (Job, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	j, ok := q.jobs[id]
	if !ok {
		return Job{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	return *j, nil
}

// List returns all jobs, newest first.
func (q *Queue) List() []Job {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make([]Job, 0, len(q.jobs))
	for _, j := range q.jobs {
		out = append(out, *j)
	}
	slices.SortFunc(out, func(a, b Job) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// Cancel cancels a waiting or running job. A running one ends shortly afterwards.
func (q *Queue) Cancel(id string) (Job, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	j, ok := q.jobs[id]
	switch {
	case !ok:
		return Job{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	case j.State == Queued:
		q.end(j, Canceled, "")
	case j.State == Running:
		j.Error = canceled
		q.cancel()
	}
	return *j, nil
}

// canceled is the error of a job between its cancellation and its end.
const canceled = "canceled"

// end sets a final state and saves it. The caller holds mu.
func (q *Queue) end(j *Job, s State, reason string) {
	now := q.cfg.Clock()
	j.State, j.Error, j.Ended, j.Expires, j.Progress = s, reason, now, now.Add(q.cfg.Keep), Progress{}
	if err := j.save(q.dir(j.ID)); err != nil {
		q.cfg.Log.Error("saving the state of a training set failed; it will run again after a restart", "id", j.ID, "error", err)
	}
}

// Run runs jobs, oldest first, and removes expired ones, until ctx ends. The job running at
// that time is queued again by the next Open.
func (q *Queue) Run(ctx context.Context) error {
	expiry := time.NewTicker(time.Minute)
	defer expiry.Stop()
	for {
		q.expire()
		for j := q.next(); j != nil && ctx.Err() == nil; j = q.next() {
			q.run(ctx, j)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-q.wake:
		case <-expiry.C:
		}
	}
}

// next returns the job that has waited longest, or nil.
func (q *Queue) next() *Job {
	q.mu.Lock()
	defer q.mu.Unlock()
	var oldest *Job
	for _, j := range q.jobs {
		if j.State == Queued && (oldest == nil || j.Created.Before(oldest.Created) || j.Created.Equal(oldest.Created) && j.ID < oldest.ID) {
			oldest = j
		}
	}
	return oldest
}

func (q *Queue) run(ctx context.Context, j *Job) {
	jobCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	q.mu.Lock()
	if j.State != Queued { // canceled in the meantime
		q.mu.Unlock()
		return
	}
	j.State, j.Started, q.cancel, q.begun = Running, q.cfg.Clock(), cancel, time.Time{}
	j.Starts++
	err := j.save(q.dir(j.ID))
	id, spec := j.ID, j.Spec
	q.mu.Unlock()
	if err == nil {
		err = os.RemoveAll(q.out(id))
	}
	if err == nil {
		err = q.cfg.Build(jobCtx, spec, q.spinePath(spec.Spine), q.out(id), func(p Progress) { q.progress(j, p) })
	}
	bytes := int64(0)
	if err == nil {
		if bytes = sizeOf(q.out(id)); bytes > q.cfg.MaxResults {
			err = errors.Join(q.tooLarge(bytes), os.RemoveAll(q.out(id)))
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case err == nil:
		j.bytes = bytes
		q.end(j, Succeeded, "")
		q.makeRoom(id)
	case j.Error == canceled:
		q.end(j, Canceled, "")
	case ctx.Err() != nil: // the server is stopping; the job runs again after a restart
		q.requeue(j)
	default:
		q.end(j, Failed, err.Error())
		q.cfg.Log.Warn("training set failed", "id", id, "error", err)
	}
}

// requeue makes a running job wait as before. The caller holds mu.
func (q *Queue) requeue(j *Job) {
	j.State, j.Started, j.Progress = Queued, time.Time{}, Progress{}
	j.Starts--
	if err := j.save(q.dir(j.ID)); err != nil {
		q.cfg.Log.Error("saving the state of a training set failed", "id", j.ID, "error", err)
	}
}

func (q *Queue) progress(j *Job, p Progress) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.cfg.Clock()
	if p.Phase != j.Progress.Phase || q.begun.IsZero() {
		q.begun = now
	}
	if took := now.Sub(q.begun).Seconds(); took > 0 && p.Done > 0 {
		p.Rate = float64(p.Done) / took
		if p.Total > p.Done {
			p.Left = time.Duration(float64(p.Total-p.Done) / p.Rate * float64(time.Second))
		}
	}
	j.Progress = p
}

// expire removes expired jobs and spines.
func (q *Queue) expire() {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.cfg.Clock()
	for id, j := range q.jobs {
		if j.State.Ended() && !now.Before(j.Expires) {
			if err := os.RemoveAll(q.dir(id)); err != nil {
				q.cfg.Log.Error("removing an expired training set failed", "id", id, "error", err)
				continue
			}
			delete(q.jobs, id)
		}
	}
	q.expireSpines(now)
}
