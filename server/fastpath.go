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

// fastPath answers the most common reads without Connect: unary calls over Connect's protocol or
// gRPC, with a small, uncompressed body, that do not ask for compression. Supporting all protocols
// in one handler takes longer than a small answer. All other requests go to next, and so do all
// errors: next gets the original request together with the error.
type fastPath struct {
	*Server
	next http.Handler // Connect's handler
}

// ServeHTTP implements http.Handler.
func (s fastPath) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f, limit := s.formatOf(r), shorter(s.cfg.Timeout, r.Header); f != nil && limit > 0 {
		s.connect(w, r, f, limit)
	} else if f, limit := grpcFormatOf(r), grpcShorter(s.cfg.Timeout, r.Header); f != nil && limit > 0 {
		s.grpc(w, r, f, limit)
	} else {
		s.next.ServeHTTP(w, r)
	}
}

// connect answers a unary call over Connect's protocol.
func (s fastPath) connect(w http.ResponseWriter, r *http.Request, f *fastFormat, limit time.Duration) {
	c := callPool.Get().(*call)
	c.body = slices.Grow(c.body[:0], int(r.ContentLength))[:r.ContentLength]
	if n, err := io.ReadFull(r.Body, c.body); err != nil {
		s.handOver(w, r, io.MultiReader(bytes.NewReader(c.body[:n]), failedReader{err}), nil)
		return
	}
	if !s.answer(w, r, c, c.body, f, limit) {
		return
	}
	h := w.Header()
	h["Content-Type"], h["Accept-Encoding"] = f.contentType, acceptedEncodings
	h["Content-Length"] = []string{strconv.Itoa(len(c.answer))}
	// A client that disconnected misses the answer; there is nobody to tell.
	_, _ = w.Write(c.answer)
	c.release()
}

// answer decodes a message and computes the answer to it. If there is an error, next answers, and
// answer returns false.
func (s fastPath) answer(w http.ResponseWriter, r *http.Request, c *call, message []byte, f *fastFormat, limit time.Duration) bool {
	c.json = f.codec.json
	err := readColumns(f.codec, message, &c.request, &c.refusal)
	if err != nil {
		s.handOver(w, r, bytes.NewReader(c.body), nil) // next fails at the same read
		return false
	}
	err = s.unary(r.Context(), unskewv1connect.FeatureServiceGetFeaturesProcedure, limit, func(ctx context.Context) error { return s.read(ctx, c) })
	if err != nil {
		s.handOver(w, r, bytes.NewReader(c.body), err)
		return false
	}
	return true
}

// fastFormat is how the fast path decodes one content type.
type fastFormat struct {
	contentType []string
	codec       columnCodec
}

var (
	protoColumns = columnCodec{Codec: binaryCodec{}}
	jsonColumns  = columnCodec{Codec: strictJSON{"json"}, json: true}
	fastFormats  = map[string]*fastFormat{
		"application/proto": {[]string{"application/proto"}, protoColumns},
		"application/json":  {[]string{"application/json"}, jsonColumns},
	}
	// acceptedEncodings are the encodings that Connect decompresses.
	acceptedEncodings = []string{"gzip"}
)

// formatOf returns the format of a request over Connect's protocol, nil if next has to answer it.
func (s fastPath) formatOf(r *http.Request) *fastFormat {
	h := r.Header
	types := h["Content-Type"]
	if r.Method != http.MethodPost || len(types) != 1 || r.ContentLength <= 0 || r.ContentLength > int64(min(smallBody, s.cfg.MaxBytes)) ||
		len(h["Content-Encoding"]) > 0 || !currentProtocol(h["Connect-Protocol-Version"]) || mayCompress(r, "Accept-Encoding") {
		return nil
	}
	return fastFormats[types[0]]
}

// currentProtocol reports whether a request names the current version of Connect's protocol or
// none.
func currentProtocol(version []string) bool {
	return len(version) == 0 || len(version) == 1 && version[0] == "1"
}

// shorter returns the time limit for a request: that of its caller if it is shorter than most, else
// most. It returns 0 if the caller's limit cannot be parsed.
func shorter(most time.Duration, h http.Header) time.Duration {
	left := h["Connect-Timeout-Ms"]
	if len(left) == 0 {
		return most
	}
	const digits = 10 // the maximum in Connect's protocol
	ms, err := strconv.ParseUint(left[0], 10, 63)
	if err != nil || len(left) > 1 || len(left[0]) > digits {
		return 0
	}
	return min(most, time.Duration(ms)*time.Millisecond)
}

// answeredKey is the context key of the error that guard returns instead of running the call.
type answeredKey struct{}

// handOver lets next answer: with err, or by itself if err is nil.
func (s fastPath) handOver(w http.ResponseWriter, r *http.Request, body io.Reader, err error) {
	ctx := r.Context()
	if err != nil {
		ctx = context.WithValue(ctx, answeredKey{}, err)
	}
	r = r.WithContext(ctx)
	r.Body = io.NopCloser(body)
	s.next.ServeHTTP(w, r)
}

// failedReader is a body whose reader has failed.
type failedReader struct{ err error }

// Read implements io.Reader.
func (f failedReader) Read([]byte) (int, error) { return 0, f.err }
