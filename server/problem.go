package server

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"connectrpc.com/connect"
)

// problem is an error as problem details (RFC 9457). Code is the error code of the contract's
// procedures, which is more specific than the HTTP status.
type problem struct {
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Code   string         `json:"code"`
	Detail string         `json:"detail"`
	Errors []problemInRow `json:"errors,omitempty"`

	after string // seconds after which to try again; ""
}

// problemInRow describes one bad value in a request.
type problemInRow struct {
	Pointer string `json:"pointer"` // JSON pointer (RFC 6901) into the request
	Detail  string `json:"detail"`
}

func newProblem(status int, code, format string, args ...any) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// httpStatus maps codes to HTTP statuses as the Connect protocol does; all others are 500.
var httpStatus = map[connect.Code]int{
	connect.CodeInvalidArgument:    http.StatusBadRequest,
	connect.CodeFailedPrecondition: http.StatusBadRequest,
	connect.CodeUnauthenticated:    http.StatusUnauthorized,
	connect.CodePermissionDenied:   http.StatusForbidden,
	connect.CodeNotFound:           http.StatusNotFound,
	connect.CodeResourceExhausted:  http.StatusTooManyRequests,
	connect.CodeUnavailable:        http.StatusServiceUnavailable,
	connect.CodeDeadlineExceeded:   http.StatusGatewayTimeout,
	connect.CodeCanceled:           499,
}

// problemOf converts an error that has its code.
func problemOf(err error) *problem {
	code := connect.CodeOf(err)
	status, ok := httpStatus[code]
	if !ok {
		status = http.StatusInternalServerError
	}
	detail, after := err.Error(), ""
	if coded := (*connect.Error)(nil); errors.As(err, &coded) {
		detail, after = coded.Message(), coded.Meta().Get(retryAfter)
	}
	p := newProblem(status, code.String(), "%s", detail)
	p.after = after
	if caller := (*callerError)(nil); errors.As(err, &caller) {
		p.Errors = caller.rows
	}
	return p
}

func (p *problem) write(w http.ResponseWriter) {
	text, err := json.Marshal(p)
	if err != nil {
		text = []byte("{}") // strings and numbers can always be encoded
	}
	w.Header().Set("Content-Type", "application/problem+json")
	if p.after != "" {
		w.Header().Set(retryAfter, p.after)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(text, '\n')) // a client that disconnected misses it
}

// shownBadRows is how many bad values an error lists.
const shownBadRows = 10

// pointer returns the JSON pointer to a field of a row in a request, or to the row if field is
// empty.
func pointer(row int, field string) string {
	p := "/rows/" + strconv.Itoa(row)
	if field == "" {
		return p
	}
	return p + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(field)
}

// writeJSON writes an answer, compressed if the client accepts it and it is large enough.
func writeJSON(w http.ResponseWriter, r *http.Request, status int, contentType string, text []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Add("Vary", "Accept-Encoding")
	// compressOnRequest has removed what the caller does not mean.
	if gzip, _ := encodings(r.Header.Get("Accept-Encoding")); len(text) < compressFrom || !gzip {
		h.Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(status)
		_, _ = w.Write(text) // a client that disconnected misses it
		return
	}
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	packed := gzip.NewWriter(w)
	_, _ = packed.Write(text)
	_ = packed.Close()
}
