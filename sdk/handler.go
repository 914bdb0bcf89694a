package sdk

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// handlerTransport answers requests by a handler in this process.
type handlerTransport struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t handlerTransport) RoundTrip(req *http.Request) (res *http.Response, err error) {
	body := req.Body
	if body == nil {
		body = http.NoBody
	}
	defer func() {
		_ = body.Close() // what could not be read was reported to the handler
		if p := recover(); p != nil {
			res, err = nil, fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	in := req.Clone(req.Context())
	in.Body, in.Host, in.RequestURI, in.RemoteAddr = body, req.URL.Host, req.URL.RequestURI(), "@" // as over a unix socket
	out := &recordedResponse{header: http.Header{}}
	t.handler.ServeHTTP(out, in)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return out.response(req), nil
}

// recordedResponse holds a response in memory.
type recordedResponse struct {
	header, sent http.Header // sent is a copy of header at the time of the status
	status       int
	body         bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recordedResponse) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recordedResponse) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status, r.sent = status, r.header.Clone()
	}
}

// Write implements http.ResponseWriter.
func (r *recordedResponse) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// Flush implements http.Flusher, which streams need.
func (r *recordedResponse) Flush() { r.WriteHeader(http.StatusOK) }

func (r *recordedResponse) response(req *http.Request) *http.Response {
	r.WriteHeader(http.StatusOK)
	return &http.Response{
		Status: fmt.Sprintf("%d %s", r.status, http.StatusText(r.status)), StatusCode: r.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: r.sent,
		Body: io.NopCloser(&r.body), ContentLength: int64(r.body.Len()), Request: req,
	}
}
