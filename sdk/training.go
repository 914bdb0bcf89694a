package sdk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// TrainingRequest describes a training set: a TrainingSet of the project, or a service with a
// spine and its time column.
type TrainingRequest struct {
	// ID makes the request idempotent; without it the server chooses one.
	ID string
	// TrainingSet is one of the project; if set, the fields from Service to LabelKnownAt are
	// empty.
	TrainingSet  string
	Service      string
	Spine        string // the name returned by UploadSpine
	SpineFrom    string // a file on the server, relative to the project, instead of Spine
	Time         string // column with the time to compute features as of
	Label        string // column with the label; "": none
	LabelKnownAt string // column with the time the label was known; "": none
	WithStatus   bool   // also the status of every value
	Final        bool   // treat every event as known when it happened: to measure, not to train
	Ledger       bool   // treat every event as known when servers recorded that serving saw it
}

// TrainingState is the state of a training set.
type TrainingState int32

// The states. The last three are final.
const (
	TrainingQueued    TrainingState = TrainingState(unskewv1.TrainingState_TRAINING_STATE_QUEUED)
	TrainingRunning   TrainingState = TrainingState(unskewv1.TrainingState_TRAINING_STATE_RUNNING)
	TrainingSucceeded TrainingState = TrainingState(unskewv1.TrainingState_TRAINING_STATE_SUCCEEDED)
	TrainingFailed    TrainingState = TrainingState(unskewv1.TrainingState_TRAINING_STATE_FAILED)
	TrainingCanceled  TrainingState = TrainingState(unskewv1.TrainingState_TRAINING_STATE_CANCELED)
)

// String returns the state's name in the contract, without the prefix.
func (s TrainingState) String() string {
	return enumName(unskewv1.TrainingState(s).String(), "TRAINING_STATE_")
}

// TrainingSet is a training set that a server is building or has built.
type TrainingSet struct {
	ID          string
	State       TrainingState
	Phase       string        // of a running one: "spine", "history", "replay" or "write"
	Done, Total int64         // of the phase, in rows ("replay": in parts); Total is 0 if unknown
	Rate        float64       // of Done, per second
	Left        time.Duration // until the phase ends at that rate; 0: not known
	Error       string        // why it failed
	Manifest    string        // the content of manifest.json, if it succeeded
	Report      string        // the content of report.json: a description of its rows and features
}

func newTrainingSet(m *unskewv1.TrainingSet) *TrainingSet {
	return &TrainingSet{
		ID: m.GetId(), State: TrainingState(m.GetState()), Phase: m.GetPhase(), Done: m.GetDone(), Total: m.GetTotal(),
		Rate: m.GetRate(), Left: time.Duration(m.GetEtaSeconds() * float64(time.Second)), Error: m.GetError(), Manifest: m.GetManifest(), Report: m.GetReport(),
	}
}

// uploadChunk is how many bytes of a spine are sent at a time.
const uploadChunk = 256 << 10

// UploadSpine sends the rows to predict and returns the name for TrainingRequest.Spine. Equal
// rows get the same name, so sending them again is safe. It reads r to its end and does not
// release it.
func (c *Client) UploadSpine(ctx context.Context, r array.RecordReader) (name string, err error) {
	up := c.training.UploadSpine(ctx)
	out := &uploader{up: up}
	w := ipc.NewWriter(out, ipc.WithSchema(r.Schema()))
	for err == nil && r.Next() {
		err = w.Write(r.RecordBatch())
	}
	err = errors.Join(err, r.Err(), w.Close(), out.flush())
	res, failed := up.CloseAndReceive()
	if failed != nil { // the server's error, which interrupted the upload
		return "", fmt.Errorf("upload a spine: %w", failed)
	}
	if err != nil {
		return "", fmt.Errorf("upload a spine: %w", err)
	}
	return res.Msg.GetSpine(), nil
}

// uploader sends what is written to it in chunks.
type uploader struct {
	up  *connect.ClientStreamForClient[unskewv1.UploadSpineRequest, unskewv1.UploadSpineResponse]
	buf []byte
}

func (u *uploader) Write(p []byte) (int, error) {
	u.buf = append(u.buf, p...)
	for len(u.buf) >= uploadChunk {
		if err := u.up.Send(&unskewv1.UploadSpineRequest{Data: u.buf[:uploadChunk]}); err != nil {
			return 0, err
		}
		u.buf = append(u.buf[:0], u.buf[uploadChunk:]...)
	}
	return len(p), nil
}

func (u *uploader) flush() error {
	if len(u.buf) == 0 {
		return nil
	}
	return u.up.Send(&unskewv1.UploadSpineRequest{Data: u.buf})
}

// CreateTrainingSet requests a training set. If the ID already exists, it returns that
// training set, provided its request was the same.
func (c *Client) CreateTrainingSet(ctx context.Context, r TrainingRequest) (*TrainingSet, error) {
	res, err := c.training.CreateTrainingSet(ctx, connect.NewRequest(&unskewv1.CreateTrainingSetRequest{
		Id: r.ID, TrainingSet: r.TrainingSet, Service: r.Service, Spine: r.Spine, SpineFrom: r.SpineFrom, Time: r.Time,
		Label: r.Label, LabelKnownAt: r.LabelKnownAt, WithStatus: r.WithStatus, Final: r.Final, Ledger: r.Ledger,
	}))
	if err != nil {
		return nil, fmt.Errorf("create a training set: %w", err)
	}
	return newTrainingSet(res.Msg.GetTrainingSet()), nil
}

// GetTrainingSet returns the state and progress of a training set.
func (c *Client) GetTrainingSet(ctx context.Context, id string) (*TrainingSet, error) {
	res, err := c.training.GetTrainingSet(ctx, connect.NewRequest(&unskewv1.GetTrainingSetRequest{Id: id}))
	if err != nil {
		return nil, fmt.Errorf("get training set %s: %w", id, err)
	}
	return newTrainingSet(res.Msg.GetTrainingSet()), nil
}

// trainingPoll is the polling interval of WaitForTrainingSet, and restart how long it waits for a server that is not available.
const (
	trainingPoll = 200 * time.Millisecond
	restart      = time.Minute
)

// WaitForTrainingSet polls until the training set has succeeded. It returns an error if the
// training set failed or was canceled. progress, if not nil, is called with every answer. A server that is
// restarted goes on with its training sets, so one that is not available is asked again, for a minute.
func (c *Client) WaitForTrainingSet(ctx context.Context, id string, progress func(*TrainingSet)) (*TrainingSet, error) {
	tick := time.NewTicker(trainingPoll)
	defer tick.Stop()
	answered := time.Now()
	for {
		set, err := c.GetTrainingSet(ctx, id)
		switch {
		case err == nil:
			answered = time.Now()
			if progress != nil {
				progress(set)
			}
			if set.State == TrainingSucceeded {
				return set, nil
			}
			if err := set.failure(); err != nil {
				return nil, err
			}
		case connect.CodeOf(err) != connect.CodeUnavailable || time.Since(answered) > restart:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for training set %s: %w", id, ctx.Err())
		case <-tick.C:
		}
	}
}

// failure is the error of a training set that has ended without a result.
func (s *TrainingSet) failure() error {
	switch s.State {
	case TrainingFailed:
		return fmt.Errorf("training set %s: %s", s.ID, s.Error)
	case TrainingCanceled:
		return fmt.Errorf("training set %s was canceled", s.ID)
	}
	return nil
}

// CancelTrainingSet cancels a waiting or running training set.
func (c *Client) CancelTrainingSet(ctx context.Context, id string) error {
	if _, err := c.training.CancelTrainingSet(ctx, connect.NewRequest(&unskewv1.CancelTrainingSetRequest{Id: id})); err != nil {
		return fmt.Errorf("cancel training set %s: %w", id, err)
	}
	return nil
}

// ListTrainingSets lists the training sets that the server keeps, the newest first, without their manifests and reports.
func (c *Client) ListTrainingSets(ctx context.Context) ([]*TrainingSet, error) {
	res, err := c.training.ListTrainingSets(ctx, connect.NewRequest(&unskewv1.ListTrainingSetsRequest{}))
	if err != nil {
		return nil, fmt.Errorf("list training sets: %w", err)
	}
	out := make([]*TrainingSet, len(res.Msg.GetTrainingSets()))
	for i, m := range res.Msg.GetTrainingSets() {
		out[i] = newTrainingSet(m)
	}
	return out, nil
}

// TrainingRows are the rows of a part of a training set, in the order of the spine, as
// Arrow records. It is an array.RecordReader; Close ends the stream.
type TrainingRows struct {
	*ipc.Reader
	stream *connect.ServerStreamForClient[unskewv1.ReadTrainingSetResponse]
	from   *chunks
}

var _ array.RecordReader = (*TrainingRows)(nil)

// ReadTrainingSet streams a part of a successful training set, starting at a row. part is
// "train", "validation" or "test", or "" if the set is not split. Rows are streamed as fast
// as the caller reads them; at most one batch is buffered.
func (c *Client) ReadTrainingSet(ctx context.Context, id, part string, from int64) (*TrainingRows, error) {
	if from < 0 {
		return nil, fmt.Errorf("read training set %s: there is no row %d", id, from)
	}
	stream, err := c.training.ReadTrainingSet(ctx, connect.NewRequest(&unskewv1.ReadTrainingSetRequest{Id: id, Part: part, FromRow: uint64(from)}))
	if err != nil {
		return nil, fmt.Errorf("read training set %s: %w", id, err)
	}
	in := &chunks{stream: stream, next: from}
	r, err := ipc.NewReader(in)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read training set %s: %w", id, cmp.Or(in.err, err)), stream.Close())
	}
	return &TrainingRows{r, stream, in}, nil
}

// Err returns why the stream ended early; nil if it did not.
func (r *TrainingRows) Err() error {
	if r.from.err != nil {
		return r.from.err
	}
	if err := r.Reader.Err(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// NextRow returns the row to resume from after the stream broke: at most one past the rows
// returned so far.
func (r *TrainingRows) NextRow() int64 { return r.from.next }

// Schema returns the columns: those of the spine, then the features.
func (r *TrainingRows) Schema() *arrow.Schema { return r.Reader.Schema() }

// Close ends the stream; records that were retained stay valid.
func (r *TrainingRows) Close() error {
	r.Reader.Release()
	return r.stream.Close()
}

// chunks reads the chunks of a stream one after the other.
type chunks struct {
	stream *connect.ServerStreamForClient[unskewv1.ReadTrainingSetResponse]
	rest   []byte
	next   int64
	after  int64 // next, once rest is read
	err    error
}

func (c *chunks) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		c.next = max(c.next, c.after)
		if !c.stream.Receive() {
			if c.err = c.stream.Err(); c.err != nil {
				return 0, c.err
			}
			return 0, io.EOF
		}
		c.rest, c.after = c.stream.Msg().GetData(), c.stream.Msg().GetNextRow()
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
