package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/materializer/training"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// trainingJobs manages jobs that build training sets; *training.Queue implements it.
type trainingJobs interface {
	StoreSpine(r io.Reader) (name string, rows int64, err error)
	Create(id string, s training.Spec) (training.Job, error)
	Get(id string) (training.Job, error)
	Manifest(id string) (string, error)
	Report(id string) (string, error)
	List() []training.Job
	Cancel(id string) (training.Job, error)
	Read(ctx context.Context, id, part string, from int64, w io.Writer, written func(next int64) error) error
}

// withoutDeadlines lets streams take as long as their clients need; the server's time limit is
// meant for unary calls.
func withoutDeadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		// A writer without deadlines has nothing to disable.
		_ = c.SetReadDeadline(time.Time{})
		_ = c.SetWriteDeadline(time.Time{})
		next.ServeHTTP(w, r)
	})
}

// jobs returns the queue, or an error if this server does not build training sets.
func (h *trainingHandler) jobs() (trainingJobs, error) {
	if h.cfg.Training == nil {
		return nil, connect.NewError(connect.CodeUnimplemented, errors.New("this server only serves features and cannot build training sets; ask a server that was started by `unskew serve`"))
	}
	return h.cfg.Training, nil
}

// trainingError maps errors of the queue to codes.
func trainingError(err error) error {
	var bad *training.InvalidError
	switch {
	case errors.As(err, &bad):
		return invalid("%s", bad.Reason)
	case errors.Is(err, training.ErrNotFound):
		return notFound("%v", err)
	case errors.Is(err, training.ErrConflict):
		return &callerError{code: connect.CodeAlreadyExists, message: err.Error()}
	case errors.Is(err, training.ErrFull):
		return tooMuch("%v", err)
	case errors.Is(err, training.ErrNotReady):
		return precondition("%v", err)
	}
	return err
}

// UploadSpine implements the RPC.
func (h *trainingHandler) UploadSpine(ctx context.Context, in *connect.ClientStream[unskewv1.UploadSpineRequest]) (*connect.Response[unskewv1.UploadSpineResponse], error) {
	jobs, err := h.jobs()
	if err != nil {
		return nil, err
	}
	caller := visitOf(ctx).caller
	if err := h.budget.uploads.take(caller, 1); err != nil {
		return nil, err
	}
	defer h.budget.uploads.give(caller, 1)
	name, rows, err := jobs.StoreSpine(&chunkReader{in: in})
	if err != nil {
		return nil, trainingError(err)
	}
	return connect.NewResponse(&unskewv1.UploadSpineResponse{Spine: name, Rows: rows}), nil
}

// chunkReader reads the chunks of an upload as one stream.
type chunkReader struct {
	in   *connect.ClientStream[unskewv1.UploadSpineRequest]
	rest []byte
}

func (c *chunkReader) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if !c.in.Receive() {
			if err := c.in.Err(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		c.rest = c.in.Msg().GetData()
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// CreateTrainingSet implements the RPC.
func (h *trainingHandler) CreateTrainingSet(_ context.Context, req *connect.Request[unskewv1.CreateTrainingSetRequest]) (*connect.Response[unskewv1.CreateTrainingSetResponse], error) {
	jobs, err := h.jobs()
	if err != nil {
		return nil, err
	}
	m := req.Msg
	job, err := jobs.Create(m.GetId(), training.Spec{
		TrainingSet: m.GetTrainingSet(), Service: m.GetService(), Spine: m.GetSpine(), SpineFrom: m.GetSpineFrom(), Time: m.GetTime(),
		Label: m.GetLabel(), LabelKnownAt: m.GetLabelKnownAt(), WithStatus: m.GetWithStatus(), Final: m.GetFinal(), Ledger: m.GetLedger(),
	})
	if err != nil {
		return nil, trainingError(err)
	}
	set, err := h.trainingSet(jobs, job)
	return connect.NewResponse(&unskewv1.CreateTrainingSetResponse{TrainingSet: set}), err
}

// GetTrainingSet implements the RPC.
func (h *trainingHandler) GetTrainingSet(_ context.Context, req *connect.Request[unskewv1.GetTrainingSetRequest]) (*connect.Response[unskewv1.GetTrainingSetResponse], error) {
	jobs, err := h.jobs()
	if err != nil {
		return nil, err
	}
	job, err := jobs.Get(req.Msg.GetId())
	if err != nil {
		return nil, trainingError(err)
	}
	set, err := h.trainingSet(jobs, job)
	return connect.NewResponse(&unskewv1.GetTrainingSetResponse{TrainingSet: set}), err
}

// CancelTrainingSet implements the RPC.
func (h *trainingHandler) CancelTrainingSet(_ context.Context, req *connect.Request[unskewv1.CancelTrainingSetRequest]) (*connect.Response[unskewv1.CancelTrainingSetResponse], error) {
	jobs, err := h.jobs()
	if err != nil {
		return nil, err
	}
	job, err := jobs.Cancel(req.Msg.GetId())
	if err != nil {
		return nil, trainingError(err)
	}
	set, err := h.trainingSet(jobs, job)
	return connect.NewResponse(&unskewv1.CancelTrainingSetResponse{TrainingSet: set}), err
}

// ListTrainingSets implements the RPC.
func (h *trainingHandler) ListTrainingSets(context.Context, *connect.Request[unskewv1.ListTrainingSetsRequest]) (*connect.Response[unskewv1.ListTrainingSetsResponse], error) {
	jobs, err := h.jobs()
	if err != nil {
		return nil, err
	}
	res := &unskewv1.ListTrainingSetsResponse{}
	for _, job := range jobs.List() {
		res.TrainingSets = append(res.TrainingSets, jobMessage(job))
	}
	return connect.NewResponse(res), nil
}

// trainingSet converts a job, with the manifest and the report of its result.
func (h *trainingHandler) trainingSet(jobs trainingJobs, job training.Job) (*unskewv1.TrainingSet, error) {
	m := jobMessage(job)
	if job.State != training.Succeeded {
		return m, nil
	}
	var err error
	if m.Manifest, err = jobs.Manifest(job.ID); err != nil {
		return nil, trainingError(err)
	}
	if m.Report, err = jobs.Report(job.ID); err != nil {
		return nil, trainingError(err)
	}
	return m, nil
}

var trainingStates = map[training.State]unskewv1.TrainingState{
	training.Queued:    unskewv1.TrainingState_TRAINING_STATE_QUEUED,
	training.Running:   unskewv1.TrainingState_TRAINING_STATE_RUNNING,
	training.Succeeded: unskewv1.TrainingState_TRAINING_STATE_SUCCEEDED,
	training.Failed:    unskewv1.TrainingState_TRAINING_STATE_FAILED,
	training.Canceled:  unskewv1.TrainingState_TRAINING_STATE_CANCELED,
}

func jobMessage(j training.Job) *unskewv1.TrainingSet {
	s, p := j.Spec, j.Progress
	return &unskewv1.TrainingSet{
		Id: j.ID, State: trainingStates[j.State],
		Request: &unskewv1.CreateTrainingSetRequest{
			Id: j.ID, TrainingSet: s.TrainingSet, Service: s.Service, Spine: s.Spine, SpineFrom: s.SpineFrom, Time: s.Time,
			Label: s.Label, LabelKnownAt: s.LabelKnownAt, WithStatus: s.WithStatus, Final: s.Final, Ledger: s.Ledger,
		},
		Phase: p.Phase, Done: p.Done, Total: p.Total, Rate: p.Rate, EtaSeconds: p.Left.Seconds(), Error: j.Error,
		CreatedMicros: micros(j.Created), StartedMicros: micros(j.Started), EndedMicros: micros(j.Ended), ExpiresMicros: micros(j.Expires),
	}
}

// micros converts a time to the contract's microseconds; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// ReadTrainingSet implements the RPC. A client that reads slowly applies backpressure and takes no
// memory.
func (h *trainingHandler) ReadTrainingSet(ctx context.Context, req *connect.Request[unskewv1.ReadTrainingSetRequest], out *connect.ServerStream[unskewv1.ReadTrainingSetResponse]) error {
	jobs, err := h.jobs()
	if err != nil {
		return err
	}
	m := req.Msg
	if m.GetFromRow() > math.MaxInt64 {
		return invalid("from_row %d is not a row", m.GetFromRow())
	}
	from := int64(m.GetFromRow())
	w := &chunkWriter{out: out, next: from}
	err = jobs.Read(ctx, m.GetId(), m.GetPart(), from, w, func(next int64) error { return w.flush(next) })
	if err == nil {
		err = w.flush(w.next)
	}
	return trainingError(err)
}

// chunkBytes bounds the size of a chunk.
const chunkBytes = 1 << 20

// chunkWriter sends what is written to it in chunks. Every batch ends a chunk, so that a reader can
// resume from another row.
type chunkWriter struct {
	out  *connect.ServerStream[unskewv1.ReadTrainingSetResponse]
	buf  []byte
	next int64 // the first row after the last complete batch
}

func (c *chunkWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), chunkBytes-len(c.buf))
		c.buf, rest = append(c.buf, rest[:n]...), rest[n:]
		if len(c.buf) == chunkBytes {
			if err := c.flush(c.next); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

func (c *chunkWriter) flush(next int64) error {
	c.next = next
	if len(c.buf) == 0 {
		return nil
	}
	if err := c.out.Send(&unskewv1.ReadTrainingSetResponse{Data: c.buf, NextRow: next}); err != nil {
		return fmt.Errorf("send rows: %w", err)
	}
	c.buf = c.buf[:0]
	return nil
}
