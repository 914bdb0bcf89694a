package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// straight answers the reads that most callers send: over unary Connect, with a body of
// known and small size that is not compressed, and no wish for compression. They need none
// of what makes one handler speak all protocols, which takes longer than a small answer.
// Everything else is next's, and so is every error: next is given the request as it came
// and what became of it.
type straight struct {
	*Server
	next http.Handler // Connect's
}

// ServeHTTP is http.Handler's.
func (s straight) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, limit := s.formatOf(r), shorter(s.cfg.Timeout, r.Header)
	if f == nil || limit <= 0 {
		s.next.ServeHTTP(w, r)
		return
	}
	c := calls.Get().(*call)
	c.body = slices.Grow(c.body[:0], int(r.ContentLength))[:r.ContentLength]
	if n, err := io.ReadFull(r.Body, c.body); err != nil {
		s.handOver(w, r, io.MultiReader(bytes.NewReader(c.body[:n]), failedReader{err}), nil)
		return
	}
	c.json = f.codec.json
	if err := readColumns(f.codec, c.body, &c.request, &c.refusal); err != nil {
		s.handOver(w, r, bytes.NewReader(c.body), nil) // which does not get farther
		return
	}
	err := s.unary(r.Context(), unskewv1connect.FeatureServiceGetFeaturesProcedure, limit, func(ctx context.Context) error { return s.read(ctx, c) })
	if err != nil {
		s.handOver(w, r, bytes.NewReader(c.body), err)
		return
	}
	h := w.Header()
	h["Content-Type"], h["Accept-Encoding"] = f.contentType, acceptedEncodings
	h["Content-Length"] = []string{strconv.Itoa(len(c.answer))}
	// A client that went away misses the answer; nobody else is told.
	_, _ = w.Write(c.answer)
	c.release()
}

// straightFormat is how straight reads the body of one content type.
type straightFormat struct {
	contentType []string
	codec       columnCodec
}

var (
	straightFormats = map[string]*straightFormat{
		"application/proto": {[]string{"application/proto"}, columnCodec{Codec: binaryCodec{}}},
		"application/json":  {[]string{"application/json"}, columnCodec{Codec: strictJSON{"json"}, json: true}},
	}
	// acceptedEncodings are what Connect decompresses.
	acceptedEncodings = []string{"gzip"}
)

// formatOf is the format of a request that straight answers, nil for those that next does.
func (s straight) formatOf(r *http.Request) *straightFormat {
	h := r.Header
	types := h["Content-Type"]
	if r.Method != http.MethodPost || len(types) != 1 || r.ContentLength <= 0 || r.ContentLength > int64(min(smallBody, s.cfg.MaxBytes)) ||
		len(h["Content-Encoding"]) > 0 || !currentProtocol(h["Connect-Protocol-Version"]) || mayCompress(r) {
		return nil
	}
	return straightFormats[types[0]]
}

// currentProtocol reports whether a request is of the version of Connect that there is, or
// does not say.
func currentProtocol(version []string) bool {
	return len(version) == 0 || len(version) == 1 && version[0] == "1"
}

// shorter is the time limit of a request: what is left to it by its caller, if that is less
// than most, and 0 if the caller says nothing that straight understands.
func shorter(most time.Duration, h http.Header) time.Duration {
	left := h["Connect-Timeout-Ms"]
	if len(left) == 0 {
		return most
	}
	const digits = 10 // at most, by Connect's protocol
	ms, err := strconv.ParseUint(left[0], 10, 63)
	if err != nil || len(left) > 1 || len(left[0]) > digits {
		return 0
	}
	return min(most, time.Duration(ms)*time.Millisecond)
}

// answeredKey is the context key of the error that guard answers with, without a call.
type answeredKey struct{}

// handOver lets next answer: with err, or for itself when err is nil.
func (s straight) handOver(w http.ResponseWriter, r *http.Request, body io.Reader, err error) {
	ctx := r.Context()
	if err != nil {
		ctx = context.WithValue(ctx, answeredKey{}, err)
	}
	r = r.WithContext(ctx)
	r.Body = io.NopCloser(body)
	s.next.ServeHTTP(w, r)
}

// failedReader is a body that cannot be read any more.
type failedReader struct{ err error }

// Read is io.Reader's.
func (f failedReader) Read([]byte) (int, error) { return 0, f.err }
