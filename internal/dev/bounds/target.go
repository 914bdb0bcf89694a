package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/internal/dev/bench"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// target is the server under a load, and what its requests came to.
type target struct {
	server   *bench.Server
	project  *project
	mu       sync.Mutex
	outcomes map[string]int
}

func (t *target) count(outcome string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcomes[outcome]++
}

// check returns an error if an outcome is none of those that are documented.
func (t *target) check(want []string) error {
	var errs []error
	if t.server.Ended() {
		errs = append(errs, errors.New("the server has ended"))
	}
	for outcome, n := range t.outcomes {
		if !slices.Contains(want, outcome) {
			errs = append(errs, fmt.Errorf("%d requests came to %q; documented is %s", n, outcome, strings.Join(want, ", ")))
		}
	}
	return errors.Join(errs...)
}

// scale is n, or less in the short form.
func (t *target) scale(n int) int {
	if t.project.short {
		return max(2, n/4)
	}
	return n
}

func (t *target) url(path string) string { return "http://" + t.server.Address + path }

const (
	getFeatures  = "/unskew.v1.FeatureService/GetFeatures"
	push         = "/unskew.v1.IngestService/Push"
	contentJSON  = "application/json"
	contentProto = "application/proto"
)

// client makes connections of its own from an address of the loopback network.
func client(from string) *http.Client {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 30 * time.Second}
	return &http.Client{Transport: &http.Transport{DialContext: d.DialContext, DisableCompression: true, MaxIdleConnsPerHost: 64}}
}

// The addresses that requests come from.
const (
	attacker  = "127.0.0.1"
	bystander = "127.0.0.2"
)

// post sends a request and counts what it came to: the HTTP status, or the code that the error
// names.
func (t *target) post(ctx context.Context, c *http.Client, path, contentType string, body []byte, headers ...string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url(path), bytes.NewReader(body))
	if err != nil {
		t.count(err.Error())
		return
	}
	req.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.count(reasonOf(err))
		return
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		_, err = io.Copy(io.Discard, res.Body)
		if err != nil {
			t.count("broken answer: " + err.Error())
			return
		}
		t.count("ok")
		return
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	t.count(codeOf(res.StatusCode, text))
}

// reasonOf is the outcome of a request that had no answer.
func reasonOf(err error) string {
	for _, known := range []string{"connection reset", "broken pipe", "EOF"} {
		if strings.Contains(err.Error(), known) {
			return "closed"
		}
	}
	return err.Error()
}

// codeOf finds the code in an error of Connect or in a problem document.
func codeOf(status int, text []byte) string {
	if _, rest, ok := strings.Cut(string(text), `"code":"`); ok {
		code, _, _ := strings.Cut(rest, `"`)
		return code
	}
	return strconv.Itoa(status)
}

// at runs f so many times at once.
func at(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

func ints(name string, values ...int64) *unskewv1.Column {
	return &unskewv1.Column{Name: name, Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: values}}}
}

// read is the body of a read of n rows by users in turn.
func (t *target) read(service string, n int, features ...string) []byte {
	users := make([]int64, n)
	for i := range users {
		users[i] = int64(i % t.project.users)
	}
	m := &unskewv1.GetFeaturesRequest{Service: service, Keys: []*unskewv1.Column{ints("user_id", users...)}, Features: features}
	return must(proto.Marshal(m))
}

// must returns what encoding something of our own returns.
func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// tally is what a client was answered.
type tally struct {
	answered, failed int
	failure          string
}

// neighbour is a client with small requests, each of which has a deadline.
type neighbour struct {
	t      *target
	client *http.Client
	tally
	cancel context.CancelFunc
	done   chan struct{}
}

// patience is the deadline of a small request.
const patience = 10 * time.Second

func newNeighbour(t *target) *neighbour {
	return &neighbour{t: t, client: client(bystander), done: make(chan struct{})}
}

// once makes one request.
func (n *neighbour) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.t.url("/v1/services/small_v1:read"), strings.NewReader(`{"rows": [{"user_id": 3}]}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentJSON)
	res, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"small.orders":20`))) {
		err = fmt.Errorf("status %d: %s", res.StatusCode, text)
	}
	return err
}

// start makes requests until stop.
func (n *neighbour) start(ctx context.Context) {
	ctx, n.cancel = context.WithCancel(ctx)
	go func() {
		defer close(n.done)
		for ctx.Err() == nil {
			switch err := n.once(ctx); {
			case err == nil:
				n.answered++
			case ctx.Err() == nil:
				n.failed++
				n.failure = err.Error()
			}
		}
	}()
}

func (n *neighbour) stop() tally {
	n.cancel()
	<-n.done
	return n.tally
}
