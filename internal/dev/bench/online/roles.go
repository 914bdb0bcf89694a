package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/dev/bench"
	"github.com/unskew/unskew/internal/dev/bench/workload"
	"github.com/unskew/unskew/internal/limits"
	redisstore "github.com/unskew/unskew/internal/onlinestore/redis"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/server"
)

// The roles of processes other than the one that measures.
const (
	roleServer = "server"
	roleNear   = "near" // a server with a near cache
	roleFloor  = "floor"
)

// The services to read, by their number of views.
var services = []int{2, 10}

const views = 10

func compiled() (*plan.Plan, error) { return bench.Plan(workload.Definitions(views, services...)) }

// untilParentEnds cancels the context at the end of standard input, whose other end belongs to
// the parent process.
func untilParentEnds(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx
}

// runServer serves the views on a free port, which it prints.
func runServer(ctx context.Context, o options) (err error) {
	ctx = untilParentEnds(ctx)
	p, err := compiled()
	if err != nil {
		return err
	}
	store, err := redisstore.Open(ctx, redisstore.Options{Addresses: []string{o.redis}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	states := registry.NewReader(store)
	if o.role == roleNear {
		watched, err := store.Watch(ctx)
		if err != nil {
			return err
		}
		defer watched.Close()
		states = registry.NewKeepingReader(watched, limits.NearCacheBytes)
	}
	srv, err := server.New(server.Config{Clock: func() plan.EventTime { return workload.Now }, States: states})
	if err != nil {
		return err
	}
	if err := srv.Promote(p); err != nil {
		return err
	}
	ln, err := server.Listen("127.0.0.1:0", false)
	if err != nil {
		return err
	}
	if o.profile != "" {
		stop, err := bench.Profile(o.profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	fmt.Println(ln.Addr())
	return srv.Serve(ctx, ln)
}

// floor does the minimal work of a server of features: it reads a request, gets the bytes of
// the states in one round trip and responds with as many bytes as our server.
type floor struct {
	client   rueidis.Client
	prefixes [][]byte // of the keys of each view's states in Redis
	answer   []byte
}

// A request to the floor is the number of views, the length of the response and the number of
// users, 4 bytes each, and the users, 8 bytes each.
const floorHeader = 12

func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) < floorHeader {
		http.Error(w, "no request", http.StatusBadRequest)
		return
	}
	views, length := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
	if r.URL.Path == barePath {
		f.answerWith(w, int(length))
		return
	}
	users := body[floorHeader:][:8*binary.BigEndian.Uint32(body[8:])]
	keys := make([]string, 0, int(views)*len(users)/8)
	for _, prefix := range f.prefixes[:views] {
		for at := 0; at < len(users); at += 8 {
			keys = append(keys, string(append(slices.Clip(prefix), workload.Key(int64(binary.BigEndian.Uint64(users[at:])))...)))
		}
	}
	values, err := f.client.Do(r.Context(), f.client.B().Mget().Key(keys...).Build()).ToArray()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, v := range values {
		if v.IsNil() {
			http.Error(w, "a state is missing", http.StatusInternalServerError)
			return
		}
	}
	f.answerWith(w, int(length))
}

func (f *floor) answerWith(w http.ResponseWriter, length int) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(length))
	_, _ = w.Write(f.answer[:length])
}

// barePath is a path at which the floor responds without reading the store, so that only the
// transport is measured.
const barePath = "/bare"

// longestAnswer is the largest length of a response of the floor.
const longestAnswer = 4 << 20

func runFloor(ctx context.Context, o options) error {
	ctx = untilParentEnds(ctx)
	p, err := compiled()
	if err != nil {
		return err
	}
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{o.redis}, DisableCache: true})
	if err != nil {
		return err
	}
	defer client.Close()
	f := &floor{client: client, answer: make([]byte, longestAnswer)}
	for _, v := range p.Views {
		g := registry.Generation{View: v.Fingerprint, Number: 1, Materialized: plan.Always}
		f.prefixes = append(f.prefixes, append([]byte("unskew:state:"), g.Prefix()...))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: f, Protocols: both}
	go func() {
		<-ctx.Done()
		_ = srv.Close()
	}()
	fmt.Println(ln.Addr())
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
