package storehost

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/onlinestore"
)

// Host shares a log and a store.
type Host struct {
	dir      string
	info     Info
	log      eventlog.Log
	store    onlinestore.Store
	listener net.Listener
}

// New listens on the socket in dir, the folder of the embedded data, which this process must have
// open. command describes the process to those who find it.
func New(dir, command string, log eventlog.Log, store onlinestore.Store) (*Host, error) {
	ln, err := listen(dir)
	if err != nil {
		return nil, err
	}
	info := own()
	info.PID, info.Command = os.Getpid(), command
	return &Host{dir: dir, log: log, store: store, listener: ln, info: info}, nil
}

// Run answers calls until ctx ends, then ends those that wait or stream and lets the others finish. It
// must return before log and store are closed.
func (h *Host) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Calls end with the host, but only those that wait notice that; see ends.
	srv := &http.Server{
		Handler: h.handler(), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		// The file goes first: who dials from now on finds no host instead of one that ends.
		err := os.Remove(socketPath(h.dir))
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		stopped <- errors.Join(err, srv.Shutdown(context.WithoutCancel(ctx)))
	})
	err := srv.Serve(h.listener)
	if !stop() {
		return <-stopped
	}
	return err
}

// handler answers the calls, of which the client has one with the same name each.
func (h *Host) handler() http.Handler {
	calls := http.NewServeMux()
	h.handleLog(calls)
	h.handleStore(calls)
	mux := http.NewServeMux()
	unary(mux, infoCall, func(context.Context, *none) (Info, error) { return h.info, nil })
	mux.Handle(h.info.prefix()+"/", http.StripPrefix(h.info.prefix(), calls))
	return mux
}

func (h *Host) handleLog(mux *http.ServeMux) {
	l := h.log
	unary(mux, "/log/append", func(ctx context.Context, c *appendCall) ([]eventlog.Result, error) {
		return l.Append(ctx, c.Shard, fromEntries(c.Entries))
	})
	unary(mux, "/log/register", func(ctx context.Context, c *appendCall) (none, error) {
		return none{}, l.Register(ctx, c.Shard, fromEntries(c.Entries))
	})
	unary(mux, "/log/read", func(ctx context.Context, c *readCall) ([]eventlog.Record, error) {
		return l.Read(ctx, c.Shard, c.After, c.Limit)
	})
	unary(mux, "/log/trim", func(ctx context.Context, c *trimCall) (none, error) { return none{}, l.Trim(ctx, c.Shard, c.To) })
	unary(mux, "/log/trimmed", func(ctx context.Context, shard *string) (eventlog.Trimmed, error) { return l.Trimmed(ctx, *shard) })
	unary(mux, "/log/setback", func(ctx context.Context, c *setBackCall) (bool, error) { return l.SetBack(ctx, c.Shard, c.To) })
	unary(mux, "/log/repair", func(ctx context.Context, c *repairCall) (eventlog.Damage, error) {
		return eventlog.Repair(ctx, l, c.Shard, c.How)
	})
	unary(mux, "/log/end", func(ctx context.Context, shard *string) (eventlog.Position, error) { return l.End(ctx, *shard) })
	unary(mux, "/log/begun", func(ctx context.Context, shard *string) (bool, error) { return l.Begun(ctx, *shard) })
	unary(mux, "/log/setstate", func(ctx context.Context, c *setStateCall) (none, error) {
		return none{}, l.SetState(ctx, c.Shard, c.To)
	})
	unary(mux, "/log/segments", func(ctx context.Context, shard *string) (eventlog.Segments, error) { return l.Segments(ctx, *shard) })
	unary(mux, "/log/adopt", func(ctx context.Context, c *adoptCall) (none, error) {
		return none{}, l.Adopt(ctx, c.Shard, c.List, c.IDs)
	})
	unary(mux, "/log/wait", func(ctx context.Context, ends *eventlog.Ends) (none, error) { return none{}, l.Wait(ctx, *ends) })
	stream(mux, "/log/ids", func(ctx context.Context, shard *string, to *gather[eventlog.KeptID]) error {
		return l.IDs(ctx, *shard, func(ids []eventlog.KeptID) error {
			for _, id := range ids {
				if err := to.add(id, sizeOf(&id)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// sizeOf is about what an id takes in a message.
func sizeOf(id *eventlog.KeptID) int {
	n := 64 + len(id.ID)
	for _, v := range id.Seen.Versions {
		n += 32
		for _, f := range v.Fields {
			n += 16 + len(f.Name) + len(f.Value)
		}
	}
	return n
}

func (h *Host) handleStore(mux *http.ServeMux) {
	s := h.store
	unary(mux, "/store/get", func(ctx context.Context, keys *[][]byte) ([][]byte, error) { return s.Get(ctx, *keys) })
	unary(mux, "/store/swap", func(ctx context.Context, w *[]onlinestore.Write) ([]bool, error) { return s.Swap(ctx, *w) })
	unary(mux, "/store/deleteprefix", func(ctx context.Context, prefix *[]byte) (none, error) {
		return none{}, s.DeletePrefix(ctx, *prefix)
	})
	stream(mux, "/store/scan", func(ctx context.Context, prefix *[]byte, to *gather[pair]) error {
		return s.Scan(ctx, *prefix, func(key, value []byte) error {
			return to.add(pair{bytes.Clone(key), bytes.Clone(value)}, pairBytes(key, value))
		})
	})
	mux.Handle("/store/load", ends(0, connect.NewClientStreamHandler("/store/load", h.load, handlerOptions()...)))
}

// load runs a bulk load, which is durable if the caller says that it is complete.
func (h *Host) load(ctx context.Context, in *connect.ClientStream[frame]) (*connect.Response[frame], error) {
	err := h.loadAll(ctx, in)
	if err := ending(ctx, err); err != nil {
		return nil, err
	}
	return answered(&reply[none]{Fault: faultOf(err)})
}

func (h *Host) loadAll(ctx context.Context, in *connect.ClientStream[frame]) error {
	loader, err := h.store.Load(ctx)
	if err != nil {
		return err
	}
	for in.Receive() {
		var c chunk[pair]
		if err := in.Msg().unpack(&c); err != nil {
			return err
		}
		for i := range c.Items {
			if err := loader.Put(c.Items[i].Key, c.Items[i].Value); err != nil {
				return err
			}
		}
		if c.Last {
			return loader.Close()
		}
	}
	return errors.Join(in.Err(), io.ErrUnexpectedEOF)
}

// answerPatience is how long a host that ends waits for a process to take an answer.
const answerPatience = 5 * time.Second

// ends keeps a process that does not send or does not read, such as one that is suspended, from keeping the host from ending: when the host
// ends, the call gets nothing more, and its answer must be taken within so long.
func ends(patience time.Duration, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		conn := http.NewResponseController(w)
		done := make(chan struct{})
		stop := context.AfterFunc(q.Context(), func() {
			defer close(done)
			// These fail only if the connection is gone.
			_ = conn.SetReadDeadline(time.Now())
			_ = conn.SetWriteDeadline(time.Now().Add(patience))
		})
		defer func() {
			if !stop() {
				<-done
			}
		}()
		h.ServeHTTP(w, q)
	})
}

// maxMessage is what one call may have: an append and as much again.
const maxMessage = 2 * limits.AppendBytes

func handlerOptions() []connect.HandlerOption {
	return []connect.HandlerOption{connect.WithCodec(frameCodec{}), connect.WithReadMaxBytes(maxMessage), connect.WithCompression("gzip", nil, nil)}
}

// ending is the answer to a call that failed because its time is over or the host stops; nil for any other error, and for none.
func ending(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, err)
	case ctx.Err() != nil, errors.Is(err, eventlog.ErrClosed), errors.Is(err, onlinestore.ErrClosed):
		return connect.NewError(connect.CodeUnavailable, errors.New("it stops"))
	}
	return nil
}

// answered is the answer with a value, given by a pointer.
func answered(value any) (*connect.Response[frame], error) {
	f, err := pack(value)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(f), nil
}

// unary adds a call with one answer.
func unary[Arg, Value any](mux *http.ServeMux, name string, f func(context.Context, *Arg) (Value, error)) {
	mux.Handle(name, ends(answerPatience, connect.NewUnaryHandler(name, func(ctx context.Context, q *connect.Request[frame]) (*connect.Response[frame], error) {
		var arg argument[Arg]
		if err := q.Msg.unpack(&arg); err != nil {
			return nil, err
		}
		v, err := f(ctx, &arg.Arg)
		if err := ending(ctx, err); err != nil {
			return nil, err
		}
		return answered(&reply[Value]{Value: v, Fault: faultOf(err)})
	}, handlerOptions()...)))
}

// stream adds a call that is answered in chunks.
func stream[Arg, Item any](mux *http.ServeMux, name string, f func(context.Context, *Arg, *gather[Item]) error) {
	mux.Handle(name, ends(0, connect.NewServerStreamHandler(name, func(ctx context.Context, q *connect.Request[frame], out *connect.ServerStream[frame]) error {
		var arg argument[Arg]
		if err := q.Msg.unpack(&arg); err != nil {
			return err
		}
		to := &gather[Item]{send: out.Send}
		err := f(ctx, &arg.Arg, to)
		if err := ending(ctx, err); err != nil {
			return err
		}
		return to.end(err)
	}, handlerOptions()...)))
}
