package server

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect"
)

// problem is an error as RFC 9457 has it. Code is the name of the error code that the
// procedures of the contract give, which says more than the status.
type problem struct {
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Code   string         `json:"code"`
	Detail string         `json:"detail"`
	Errors []problemInRow `json:"errors,omitempty"`
}

// problemInRow is what is wrong with a value of a request.
type problemInRow struct {
	Pointer string `json:"pointer"` // RFC 6901, into the request
	Detail  string `json:"detail"`
}

func newProblem(status int, code, format string, args ...any) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// httpStatus are the statuses of codes where they are not 500, as the Connect protocol has them.
var httpStatus = map[connect.Code]int{
	connect.CodeInvalidArgument:    http.StatusBadRequest,
	connect.CodeFailedPrecondition: http.StatusBadRequest,
	connect.CodeNotFound:           http.StatusNotFound,
	connect.CodeResourceExhausted:  http.StatusTooManyRequests,
	connect.CodeUnavailable:        http.StatusServiceUnavailable,
	connect.CodeDeadlineExceeded:   http.StatusGatewayTimeout,
	connect.CodeCanceled:           499,
}

// problemOf is an error that has its code.
func problemOf(err error) *problem {
	code := connect.CodeOf(err)
	status, ok := httpStatus[code]
	if !ok {
		status = http.StatusInternalServerError
	}
	detail := err.Error()
	if coded := (*connect.Error)(nil); errors.As(err, &coded) {
		detail = coded.Message()
	}
	p := newProblem(status, code.String(), "%s", detail)
	if caller := (*callerError)(nil); errors.As(err, &caller) {
		p.Errors = caller.rows
	}
	return p
}

func (p *problem) write(w http.ResponseWriter) {
	text, err := json.Marshal(p)
	if err != nil {
		text = []byte("{}") // strings and numbers always can be written
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(text, '\n')) // a client that went away misses it
}

// shownBadRows is how many bad values an error names.
const shownBadRows = 10

// pointer is a JSON pointer to a field of a row of a request, or to the row.
func pointer(row int, field string) string {
	p := "/rows/" + strconv.Itoa(row)
	if field == "" {
		return p
	}
	return p + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(field)
}

// writeJSON writes an answer, compressed where that is wanted and pays.
func writeJSON(w http.ResponseWriter, r *http.Request, status int, contentType string, text []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Add("Vary", "Accept-Encoding")
	if len(text) < compressFrom || !acceptsGzip(r.Header) {
		h.Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(status)
		_, _ = w.Write(text) // a client that went away misses it
		return
	}
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	packed := gzip.NewWriter(w)
	_, _ = packed.Write(text)
	_ = packed.Close()
}

// acceptsGzip reads what compressOnRequest left of the header.
func acceptsGzip(h http.Header) bool {
	return slices.ContainsFunc(strings.Split(h.Get("Accept-Encoding"), ","), func(part string) bool {
		name, weight, _ := strings.Cut(part, ";")
		return strings.TrimSpace(name) == "gzip" && strings.TrimRight(strings.TrimSpace(weight), "0.") != "q="
	})
}
