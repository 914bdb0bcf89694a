package parity

import (
	"context"
	"errors"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/internal/wire"
	"github.com/unskew/unskew/sdk"
	"github.com/unskew/unskew/server"
)

// asker is a real server on a loopback port with simulated time, and a client of it.
type asker struct {
	service *plan.Service
	client  *sdk.Client
	stop    context.CancelFunc
	stopped chan error
}

func newAsker(cfg *Config, store onlinestore.Store, c *clock) (*asker, error) {
	srv, err := server.New(server.Config{Clock: c.read, States: registry.NewReader(store), Served: cfg.Served})
	if err != nil {
		return nil, err
	}
	if err := srv.Promote(servicePlan(cfg.Plan, cfg.Service)); err != nil {
		return nil, err
	}
	ln, err := server.Listen("127.0.0.1:0", false)
	if err != nil {
		return nil, err
	}
	client, err := sdk.New("http://" + ln.Addr().String())
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	a := &asker{service: cfg.Service, client: client, stop: stop, stopped: make(chan error, 1)}
	go func() { a.stopped <- srv.Serve(ctx, ln) }()
	return a, nil
}

// close stops the server and waits for it.
func (a *asker) close() error {
	a.stop()
	return <-a.stopped
}

// ask reads the rows, which all have the same as-of time, and returns their cells in the order
// of the service's outputs.
func (a *asker) ask(ctx context.Context, rows []Row) ([][]Cell, error) {
	keys, err := columnsOf(a.service.Keys, rows, func(r Row) []plan.Value { return r.Keys })
	if err != nil {
		return nil, err
	}
	request, err := columnsOf(a.service.Request, rows, func(r Row) []plan.Value { return r.Request })
	if err != nil {
		return nil, err
	}
	answer, err := a.client.GetFeatures(ctx, a.service.Name, keys, request)
	if err != nil {
		return nil, err
	}
	if got := plan.TimeOf(answer.AsOf); got != rows[0].At {
		return nil, fmt.Errorf("asked as of %v, the server answered as of %v", rows[0].At, got)
	}
	return cellsOf(a.service.Outputs(), answer, len(rows))
}

func columnsOf(fields []plan.Field, rows []Row, of func(Row) []plan.Value) ([]sdk.Column, error) {
	var out []sdk.Column
	for c, f := range fields {
		v := vector.New(f.Type, len(rows))
		for i, r := range rows {
			v.Set(i, of(r)[c])
		}
		col, err := wire.Column(f.Name, v)
		if err != nil {
			return nil, err
		}
		out = append(out, sdk.FromWire(col))
	}
	return out, nil
}

func cellsOf(outputs []plan.Output, answer *sdk.Rows, n int) ([][]Cell, error) {
	cells := make([][]Cell, n)
	for _, o := range outputs {
		f, err := answer.Feature(o.Name)
		if err != nil {
			return nil, err
		}
		v, err := wire.Vector(f.Wire(), o.Type)
		if err != nil {
			return nil, err
		}
		for i := range cells {
			cells[i] = append(cells[i], Cell{v.Value(i), kernel.Status(f.Status(i))})
		}
	}
	return cells, nil
}
