package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/access"
	"github.com/unskew/unskew/internal/limits"
)

// budget bounds the resources that all requests together may use. A request holds them in the order
// of the fields and waits only for those from decoding to cells, so none waits for one that waits
// for it.
type budget struct {
	maxBytes     int
	connections  *shared
	requests     *shared // that are being answered
	streams      *shared
	uploads      *shared // of spines
	explanations *shared
	arriving     *shared // bytes of large bodies
	decoding     *shared // bytes of memory, estimated
	fetching     *shared // bytes of states, estimated until they are there
	cells        *shared // of answers that are being computed
	writing      *shared // bytes of large answers
}

func newBudget(cfg Config, refused func(resource string)) *budget {
	return &budget{
		maxBytes:     cfg.MaxBytes,
		connections:  newShared("connections", "connections may be open", int64(cfg.MaxConnections), refused),
		requests:     newShared("requests", "requests are answered at a time", int64(cfg.MaxInFlight), refused),
		streams:      newShared("streams", "streams are open at a time", limits.Streams, refused),
		uploads:      newShared("uploads", "spines are uploaded at a time", limits.Uploads, refused),
		explanations: newShared("explanations", "values are explained at a time", limits.Explanations, refused),
		arriving:     newShared("arriving_bytes", "bytes of large requests are received at a time", limits.ArrivingBytes, refused),
		decoding:     newShared("decoding_bytes", "bytes of memory decode requests at a time", limits.DecodingBytes, refused),
		fetching:     newShared("fetching_bytes", "bytes of states are read at a time", limits.FetchingBytes, refused),
		cells:        newShared("answering_cells", "values are computed at a time", limits.AnsweringCells, refused),
		writing:      newShared("writing_bytes", "bytes of large answers are sent at a time", limits.WritingBytes, refused),
	}
}

// all are the resources, for metrics.
func (b *budget) all() []*shared {
	return []*shared{b.connections, b.requests, b.streams, b.uploads, b.explanations, b.arriving, b.decoding, b.fetching, b.cells, b.writing}
}

// visit is what a request holds of the budget. It belongs to the request's goroutine.
type visit struct {
	budget                                          *budget
	caller                                          string
	requests, arriving, decoding, fetching, writing int64

	// for the served log
	header http.Header
	answer http.ResponseWriter
	began  time.Time // zero unless there is one
}

// visitKey is the context key of a visit.
type visitKey struct{}

// visitContext is the context of a request with its visit.
type visitContext struct {
	context.Context
	visit
}

// Value implements context.Context.
func (c *visitContext) Value(key any) any {
	if _, ok := key.(visitKey); ok {
		return &c.visit
	}
	return c.Context.Value(key)
}

// visitBy begins the visit of a request, and returns the request with a context that has it.
func (s *Server) visitBy(r *http.Request) (*visit, *http.Request) {
	c := &visitContext{r.Context(), visit{budget: s.budget, caller: s.cfg.Caller(r)}}
	return &c.visit, r.WithContext(c)
}

// visitOf returns the visit of a request.
func visitOf(ctx context.Context) *visit {
	v, ok := ctx.Value(visitKey{}).(*visit)
	if !ok {
		panic("server: a call without a visit; wrap its handler in Server.visited")
	}
	return v
}

// end gives back what the request holds.
func (v *visit) end() {
	v.decoded()
	v.hasArrived()
	v.doneStates()
	v.budget.writing.giveAll(v.caller, &v.writing)
	v.budget.requests.giveAll(v.caller, &v.requests)
}

// decoded gives back the memory for decoding: the request is answered, or refused.
func (v *visit) decoded() { v.budget.decoding.giveAll(v.caller, &v.decoding) }

// hasArrived gives back the memory of the body as it came.
func (v *visit) hasArrived() { v.budget.arriving.giveAll(v.caller, &v.arriving) }

// giveAll returns all of what is held.
func (s *shared) giveAll(caller string, held *int64) {
	if *held > 0 {
		s.give(caller, *held)
		*held = 0
	}
}

// write counts an answer until it is sent, if it is large. It is an error if too many of them are
// not read by their callers.
func (v *visit) write(answer int) error {
	if answer <= smallBody {
		return nil
	}
	if err := v.budget.writing.take(v.caller, int64(answer)); err != nil {
		return err
	}
	v.writing += int64(answer)
	return nil
}

// callerOf tells callers apart by their names or, if they have none, by their addresses.
func callerOf(r *http.Request) string {
	if c := access.From(r.Context()); c != nil {
		return c.Name
	}
	return hostOf(r.RemoteAddr)
}

func hostOf(address string) string {
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		return address[:i]
	}
	return address
}

// visited counts requests as being answered, for all callers and for each, and refuses those
// beyond the limits before it reads anything of them.
func (s *Server) visited(next http.Handler) http.Handler {
	refuse := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, r := s.visitBy(r)
		if err := s.budget.requests.take(v.caller, 1); err != nil {
			s.refuseVisit(w, r, refuse, err)
			return
		}
		v.requests, v.header, v.answer = 1, r.Header, w
		defer v.end()
		next.ServeHTTP(w, r)
	})
}

// uncounted is visited for requests that are answered however many others there are, such as
// those about health. Their streams are counted.
func (s *Server) uncounted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, r := s.visitBy(r)
		defer v.end()
		next.ServeHTTP(w, r)
	})
}

// refuseVisit answers with an error, in the protocol of the request.
func (s *Server) refuseVisit(w http.ResponseWriter, r *http.Request, write *connect.ErrorWriter, err error) {
	err = s.measured(r.Context(), procedureOf(r), func(context.Context) error { return err })
	if isProcedure(r.URL.Path) && write.IsSupported(r) {
		_ = write.Write(w, r, err) // a client that disconnected misses it
		return
	}
	problemOf(err).write(w)
}

// smallBody is the largest body that is received and decoded, and the largest answer that is sent,
// without a reservation: even the maximum number of requests in flight needs little memory for them.
const smallBody = 64 << 10

// admit delays a request until its body has arrived and can be decoded within the memory budget. It
// refuses one that is too large, and one for which too much of its caller is arriving or waiting.
// Streams pass; their messages are small.
func (s *Server) admit(next http.Handler) http.Handler {
	refuse := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visitOf(r.Context())
		if r.ContentLength == 0 || streaming[r.URL.Path] {
			next.ServeHTTP(w, r)
			return
		}
		body, err := s.receive(v, r)
		if err == nil {
			err = v.decode(r.Context(), weight(r, body, s.cfg.MaxBytes), s.cfg.Timeout)
		}
		if err != nil {
			s.refuseVisit(w, r, refuse, err)
			return
		}
		r.Body = body
		next.ServeHTTP(w, r)
	})
}

// decode waits for the memory that decoding takes.
func (v *visit) decode(ctx context.Context, bytes int64, limit time.Duration) error {
	if bytes == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := v.budget.decoding.wait(ctx, v.caller, bytes)
	if err == nil {
		v.decoding = bytes
	}
	return err
}

// received is a body, of which at least the part that may be decoded has arrived.
type received struct {
	visit *visit
	data  []byte    // that is not read yet
	rest  io.Reader // what follows data; nil: nothing
	whole int       // the length of data at the beginning
}

// framing is the number of bytes by which a body may exceed its message.
const framing = grpcPrefix

// receive reads a body up to its limit. Its memory is counted beyond the size of a small body, as it
// arrives: who announces much and sends nothing holds nothing.
func (s *Server) receive(v *visit, r *http.Request) (*received, error) {
	json := strings.Contains(r.Header.Get("Content-Type"), "json")
	most, form := s.cfg.MaxBytes, ""
	if json {
		most, form = min(most, limits.JSONBytes), " of JSON"
	}
	procedure := isProcedure(r.URL.Path)
	tooLong := tooMuch("the request has more than %d bytes%s, which is the limit; send it in parts", most, form)
	if procedure && r.ContentLength > int64(most+framing) {
		return nil, tooLong
	}
	b := &received{visit: v}
	for size := min(firstPart, most+framing+1); ; size = min(2*size, most+framing+1) {
		if more := int64(size-smallBody) - v.arriving; more > 0 {
			if err := v.budget.arriving.take(v.caller, more); err != nil {
				return nil, err
			}
			v.arriving += more
		}
		b.data = append(make([]byte, 0, size), b.data...)
		n, err := io.ReadFull(r.Body, b.data[len(b.data):size])
		b.data = b.data[:len(b.data)+n]
		b.whole = len(b.data)
		switch {
		case err == io.EOF, err == io.ErrUnexpectedEOF:
			return b, nil
		case err != nil:
			b.rest = failedReader{err}
			return b, nil
		case size > most+framing && procedure:
			return nil, tooLong
		case size > most+framing: // the handler reads no more than its limit
			b.rest = r.Body
			return b, nil
		}
	}
}

// firstPart is the memory for a body at the beginning.
const firstPart = 4 << 10

// Read implements io.Reader. Once all is read, it gives the memory back.
func (b *received) Read(p []byte) (int, error) {
	if len(b.data) > 0 {
		n := copy(p, b.data)
		b.data = b.data[n:]
		return n, nil
	}
	b.data = nil
	b.visit.hasArrived()
	if b.rest != nil {
		return b.rest.Read(p)
	}
	return 0, io.EOF
}

// Close implements io.Closer.
func (b *received) Close() error { return nil }

// weight estimates the memory that decoding a body takes; 0 for a small one. JSON takes thirty
// times its size.
func weight(r *http.Request, body *received, most int) int64 {
	length, each := int64(body.whole), int64(8)
	switch {
	case r.Header.Get("Grpc-Encoding") != "", r.Header.Get("Connect-Content-Encoding") != "":
		length = int64(most)
	case r.Header.Get("Content-Encoding") == "gzip":
		length = unpackedLength(body.data, int64(most))
	}
	if length <= smallBody {
		return 0
	}
	if strings.Contains(r.Header.Get("Content-Type"), "json") {
		length, each = min(length, limits.JSONBytes), 32
	}
	return min(length*each, limits.DecodingBytes)
}

// unpackedLength is how many bytes gzip makes of data, or most if it is more.
func unpackedLength(data []byte, most int64) int64 {
	in, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return 0 // the codec refuses it
	}
	n, err := io.Copy(io.Discard, io.LimitReader(in, most))
	if err != nil && !errors.Is(err, gzip.ErrChecksum) {
		return most
	}
	return n
}

// reserveCells waits until an answer of this many cells fits beside the others in progress.
func (v *visit) reserveCells(ctx context.Context, cells int64) (done func(), err error) {
	if err := v.budget.cells.wait(ctx, v.caller, cells); err != nil {
		return nil, err
	}
	return func() { v.budget.cells.give(v.caller, cells) }, nil
}
