package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/materializer/training"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// jobsOf is a queue with one successful job, whose stream is text.
type jobsOf struct {
	text     string
	uploaded string
	spec     training.Spec
	err      error
}

func (j *jobsOf) StoreSpine(r io.Reader) (string, int64, error) {
	text, err := io.ReadAll(r)
	j.uploaded = string(text)
	return "name", int64(len(text)), err
}

func (j *jobsOf) job() (training.Job, error) {
	return training.Job{ID: "a", Spec: j.spec, State: training.Succeeded}, j.err
}

func (j *jobsOf) Create(_ string, s training.Spec) (training.Job, error) {
	j.spec = s
	return j.job()
}
func (j *jobsOf) Get(string) (training.Job, error)    { return j.job() }
func (j *jobsOf) Cancel(string) (training.Job, error) { return j.job() }
func (j *jobsOf) Manifest(string) (string, error)     { return "{}", nil }
func (j *jobsOf) Report(string) (string, error)       { return `{"alarms": []}`, nil }
func (j *jobsOf) List() []training.Job {
	job, _ := j.job()
	return []training.Job{job}
}

func (j *jobsOf) Read(_ context.Context, _, _ string, from int64, w io.Writer, written func(int64) error) error {
	if j.err != nil {
		return j.err
	}
	_, err := io.WriteString(w, j.text[from:])
	return errors.Join(err, written(int64(len(j.text))))
}

// trainingClient returns a client of a server with the given jobs; nil means that it builds
// no training sets.
func trainingClient(t *testing.T, jobs *jobsOf, opts ...connect.ClientOption) unskewv1connect.TrainingServiceClient {
	t.Helper()
	f := start(t, func(c *Config) {
		if jobs != nil {
			c.Training = jobs
		}
	})
	transport := &http.Transport{Protocols: protocols()}
	transport.Protocols.SetHTTP1(false) // gRPC without TLS
	t.Cleanup(transport.CloseIdleConnections)
	return unskewv1connect.NewTrainingServiceClient(&http.Client{Transport: transport}, f.url, opts...)
}

func TestTrainingSetsAreStreamedInChunks(t *testing.T) {
	jobs := &jobsOf{text: strings.Repeat("0123456789", 250_000)}
	c := trainingClient(t, jobs)
	for _, from := range []uint64{0, 1, 2_000_000} {
		stream, err := c.ReadTrainingSet(t.Context(), connect.NewRequest(&unskewv1.ReadTrainingSetRequest{Id: "a", FromRow: from}))
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		var next int64
		for stream.Receive() {
			if n := len(stream.Msg().GetData()); n == 0 || n > 1<<20 {
				t.Errorf("a chunk of %d bytes", n)
			}
			got.Write(stream.Msg().GetData())
			next = stream.Msg().GetNextRow()
		}
		if stream.Err() != nil || got.String() != jobs.text[from:] || next != int64(len(jobs.text)) {
			t.Errorf("from %d: %d bytes, next %d, %v", from, got.Len(), next, stream.Err())
		}
	}
}

func TestSpinesAreUploadedInChunks(t *testing.T) {
	jobs := &jobsOf{}
	up := trainingClient(t, jobs).UploadSpine(t.Context())
	for _, part := range []string{"ab", "", "cde"} {
		if err := up.Send(&unskewv1.UploadSpineRequest{Data: []byte(part)}); err != nil {
			t.Fatal(err)
		}
	}
	res, err := up.CloseAndReceive()
	if err != nil || res.Msg.GetSpine() != "name" || res.Msg.GetRows() != 5 || jobs.uploaded != "abcde" {
		t.Errorf("%v, %q, %v", res, jobs.uploaded, err)
	}
}

func TestTrainingSetShowsItsRequest(t *testing.T) {
	c := trainingClient(t, &jobsOf{})
	want := &unskewv1.CreateTrainingSetRequest{Id: "a", Service: "s", SpineFrom: "x.csv", Time: "ts", Label: "y", LabelKnownAt: "k", WithStatus: true, Final: true}
	made, err := c.CreateTrainingSet(t.Context(), connect.NewRequest(want))
	if err != nil || made.Msg.GetTrainingSet().GetRequest().String() != want.String() {
		t.Errorf("%v, %v", made, err)
	}
	got, err := c.GetTrainingSet(t.Context(), connect.NewRequest(&unskewv1.GetTrainingSetRequest{Id: "a"}))
	set := got.Msg.GetTrainingSet()
	if err != nil || set.GetState() != unskewv1.TrainingState_TRAINING_STATE_SUCCEEDED || set.GetManifest() != "{}" || set.GetReport() != `{"alarms": []}` {
		t.Errorf("%v, %v", set, err)
	}
	list, err := c.ListTrainingSets(t.Context(), connect.NewRequest(&unskewv1.ListTrainingSetsRequest{}))
	if err != nil || len(list.Msg.GetTrainingSets()) != 1 || list.Msg.GetTrainingSets()[0].GetManifest() != "" {
		t.Errorf("%v, %v", list, err)
	}
}

func TestTrainingErrorsHaveCodes(t *testing.T) {
	for want, err := range map[connect.Code]error{
		connect.CodeInvalidArgument:    &training.InvalidError{Reason: "no column"},
		connect.CodeNotFound:           training.ErrNotFound,
		connect.CodeAlreadyExists:      training.ErrConflict,
		connect.CodeResourceExhausted:  training.ErrFull,
		connect.CodeFailedPrecondition: training.ErrNotReady,
		connect.CodeUnavailable:        fmt.Errorf("%w: write /srv/data: no space left", training.ErrNoRoom),
		connect.CodeInternal:           io.ErrUnexpectedEOF,
	} {
		c := trainingClient(t, &jobsOf{err: err}, connect.WithGRPC())
		_, got := c.GetTrainingSet(t.Context(), connect.NewRequest(&unskewv1.GetTrainingSetRequest{Id: "a"}))
		if connect.CodeOf(got) != want || strings.Contains(got.Error(), "/srv") {
			t.Errorf("%v: %v", want, got)
		}
		stream, got := c.ReadTrainingSet(t.Context(), connect.NewRequest(&unskewv1.ReadTrainingSetRequest{Id: "a"}))
		if got == nil {
			stream.Receive()
			got = stream.Err()
		}
		if connect.CodeOf(got) != want {
			t.Errorf("stream, %v: %v", want, got)
		}
	}
}

func TestServerWithoutTraining(t *testing.T) {
	c := trainingClient(t, nil)
	_, err := c.ListTrainingSets(t.Context(), connect.NewRequest(&unskewv1.ListTrainingSetsRequest{}))
	if connect.CodeOf(err) != connect.CodeUnimplemented || !strings.Contains(err.Error(), "only serves features") {
		t.Error(err)
	}
}
