package server

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// A message of gRPC follows a prefix: a byte of flags and the message's length in 4 bytes.
const (
	grpcPrefix  = 5
	lengthStart = 1
)

// grpcFormats are the formats that the fast path decodes over gRPC.
var grpcFormats = map[string]*fastFormat{
	"application/grpc":       {[]string{"application/grpc"}, protoColumns},
	"application/grpc+proto": {[]string{"application/grpc+proto"}, protoColumns},
	"application/grpc+json":  {[]string{"application/grpc+json"}, jsonColumns},
}

// The headers and the trailer of an answer over gRPC. A Content-Length without a value keeps
// net/http from sending one, which Connect does not send either.
var (
	grpcOK      = []string{"0"}
	noLength    []string
	grpcTrailer = http.TrailerPrefix + "Grpc-Status"
)

// grpcFormatOf returns the format of a gRPC request, nil if next has to answer it.
func grpcFormatOf(r *http.Request) *fastFormat {
	h := r.Header
	types := h["Content-Type"]
	if r.Method != http.MethodPost || len(types) != 1 || len(h["Grpc-Encoding"]) > 0 || mayCompress(r, "Grpc-Accept-Encoding") {
		return nil
	}
	return grpcFormats[types[0]]
}

// grpc answers a unary call over gRPC.
func (s fastPath) grpc(w http.ResponseWriter, r *http.Request, f *fastFormat, limit time.Duration) {
	c := callPool.Get().(*call)
	var only bool
	var err error
	if c.body, only, err = readMessage(c.body[:0], r.Body, min(smallBody, s.cfg.MaxBytes)); err != nil {
		s.handOver(w, r, io.MultiReader(bytes.NewReader(c.body), failedReader{err}), nil)
		return
	}
	if !only {
		s.handOver(w, r, io.MultiReader(bytes.NewReader(c.body), r.Body), nil)
		return
	}
	if !s.answer(w, r, c, c.body[grpcPrefix:], f, limit) {
		return
	}
	h := w.Header()
	h["Content-Type"], h["Grpc-Accept-Encoding"], h["Content-Length"] = f.contentType, acceptedEncodings, noLength
	// One Write is one frame of HTTP/2 if the caller's limit allows it.
	c.body = appendMessage(c.body[:0], c.answer)
	// A client that disconnected misses the answer; there is nobody to tell.
	_, _ = w.Write(c.body)
	h[grpcTrailer] = grpcOK
	c.release()
}

// readMessage appends a body to dst, its message with the prefix. If the body is anything but one
// message of 1 to most bytes that is not compressed, only is false and the rest of the body may be
// unread: the answer need not wait for it.
func readMessage(dst []byte, r io.Reader, most int) (body []byte, only bool, err error) {
	for {
		dst = slices.Grow(dst, leastRead)
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		missing, valid := missingBytes(dst, most)
		if err == nil && valid {
			continue
		}
		if err == io.EOF {
			err = nil
		}
		return dst, valid && missing == 0, err
	}
}

// missingBytes returns how many bytes of its message a body that begins with b still lacks. valid
// is false if the body cannot consist of one message as readMessage wants it.
func missingBytes(b []byte, most int) (missing int64, valid bool) {
	if len(b) < grpcPrefix {
		return 1, true // at least
	}
	size := int64(binary.BigEndian.Uint32(b[lengthStart:]))
	missing = grpcPrefix + size - int64(len(b))
	return missing, b[0] == 0 && size > 0 && size <= int64(most) && missing >= 0
}

// leastRead is how much space each read of a body has at least.
const leastRead = 512

// appendMessage appends a message with its prefix to dst.
func appendMessage(dst, message []byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, 0), uint32(len(message)))
	return append(dst, message...)
}

// grpcUnits are the units of the grpc-timeout header.
var grpcUnits = map[byte]time.Duration{
	'n': time.Nanosecond, 'u': time.Microsecond, 'm': time.Millisecond, 'S': time.Second, 'M': time.Minute, 'H': time.Hour,
}

// grpcShorter returns the time limit for a request: that of its caller if it is shorter than most,
// else most. It returns 0 if the caller's limit cannot be parsed.
func grpcShorter(most time.Duration, h http.Header) time.Duration {
	left := h["Grpc-Timeout"]
	if len(left) == 0 {
		return most
	}
	const digits = 8 // the maximum in gRPC's protocol
	n := len(left[0]) - 1
	if n < 1 || n > digits {
		return 0
	}
	number, err := strconv.ParseUint(left[0][:n], 10, 31)
	unit := grpcUnits[left[0][n]]
	if err != nil || unit == 0 {
		return 0
	}
	if int64(number) > int64(most/unit) {
		return most
	}
	return time.Duration(number) * unit
}
