package sdk

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"connectrpc.com/connect"
)

// schemeChecker says that a server speaks TLS where a call without it was answered with a bare 400.
type schemeChecker struct{ connect.HTTPClient }

// speaksTLS is how the answer of Go's TLS listener to a request without TLS begins.
var speaksTLS = []byte("Client sent an HTTP request to an HTTPS server")

// Do implements connect.HTTPClient.
func (c schemeChecker) Do(r *http.Request) (*http.Response, error) {
	res, err := c.HTTPClient.Do(r)
	if err != nil || res.StatusCode != http.StatusBadRequest || r.URL.Scheme != "http" || res.ProtoAtLeast(1, 1) {
		return res, err
	}
	begin := make([]byte, len(speaksTLS))
	n, _ := io.ReadFull(res.Body, begin) // what cannot be read is no such answer
	if !bytes.Equal(begin, speaksTLS) {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(begin[:n]), res.Body), res.Body}
		return res, nil
	}
	_ = res.Body.Close()
	return nil, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("the server at %s speaks TLS: use https://%s", r.URL.Host, r.URL.Host))
}
