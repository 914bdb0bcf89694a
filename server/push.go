package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/tracing"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/internal/wire"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// getPushed serves Push, whose requests are decoded into columns.
func (s *Server) getPushed(opts ...connect.HandlerOption) (string, http.Handler) {
	schema := unskewv1.File_unskew_v1_ingest_service_proto.Services().ByName("IngestService").Methods().ByName("Push")
	opts = append(opts, connect.WithSchema(schema), withColumnCodecs())
	return unskewv1connect.IngestServicePushProcedure, connect.NewUnaryHandler(unskewv1connect.IngestServicePushProcedure, s.push, opts...)
}

// push answers one Push request.
func (s *Server) push(ctx context.Context, req *connect.Request[pushRequest]) (*connect.Response[unskewv1.PushResponse], error) {
	if err := req.Msg.err(ctx); err != nil {
		return nil, err
	}
	src, err := s.stream(ctx, req.Msg.Source)
	if err != nil {
		return nil, err
	}
	cols := req.Msg.Columns
	n, err := rowCount(s.cfg.MaxRows, cols)
	if err != nil {
		return nil, err
	}
	batch, err := events(src, n, cols)
	if err != nil {
		return nil, err
	}
	pushed, err := s.ingest(ctx, src, batch)
	if err != nil {
		return nil, err
	}
	res := &unskewv1.PushResponse{Rows: make([]*unskewv1.PushedRow, len(pushed))}
	for i, r := range pushed {
		res.Rows[i] = &unskewv1.PushedRow{Outcome: unskewv1.Outcome(r.Outcome), Shard: uint32(r.Shard), Position: r.Position, Message: r.Message}
	}
	s.countPushed(src.Name, pushed)
	return connect.NewResponse(res), nil
}

// stream resolves a source that accepts events, if this server does, from the caller of ctx.
func (s *Server) stream(ctx context.Context, name string) (*plan.Source, error) {
	d, err := s.current()
	if err != nil {
		return nil, err
	}
	if s.cfg.Ingester == nil {
		return nil, precondition("this server accepts no events; it only serves reads")
	}
	src, err := d.source(name)
	if err != nil {
		return nil, err
	}
	return src, mayPush(ctx, src.Name)
}

// ingest appends rows to the log. It returns one outcome for each row.
func (s *Server) ingest(ctx context.Context, src *plan.Source, batch *vector.Batch) ([]ingest.Pushed, error) {
	ctx, span := tracing.Start(ctx, "append events")
	pushed, err := s.cfg.Ingester.Push(ctx, src.Name, batch)
	span.Int("unskew.rows", batch.N).Text("unskew.source", src.Name).End(err)
	if err == nil && len(pushed) != batch.N {
		err = fmt.Errorf("source %s: %d outcomes for %d rows", src.Name, len(pushed), batch.N)
	}
	return pushed, err
}

func (s *Server) countPushed(source string, rows []ingest.Pushed) {
	for _, r := range rows {
		s.metrics.pushed.WithLabelValues(source, r.Outcome.String()).Inc()
	}
}

// events validates pushed columns against the source and returns all columns of the source, in
// their order. Columns that were not sent are null.
func events(src *plan.Source, n int, cols []wire.Sent) (*vector.Batch, error) {
	b := &vector.Batch{N: n, Fields: sourceFields(src), Cols: make([]*vector.Vector, len(src.Columns))}
	for j := range cols {
		c := &cols[j]
		i := slices.IndexFunc(b.Fields, func(f plan.Field) bool { return f.Name == c.Name })
		if i < 0 {
			return nil, invalid("source %s has no column %q%s; it has %s", src.Name, c.Name, nearest.Hint(c.Name, fieldNames(b.Fields)), listFields(b.Fields))
		}
		if b.Cols[i] != nil {
			return nil, invalid("column %q is sent twice; send each column once", c.Name)
		}
		read := c.As
		if checkedByRow(src, c.Name) {
			read = c.Unchecked
		}
		v, err := read(b.Fields[i].Type)
		if err != nil {
			return nil, invalid("source %s: %v", src.Name, err)
		}
		b.Cols[i] = v
	}
	for i, f := range b.Fields {
		if b.Cols[i] != nil {
			continue
		}
		if f.Name == src.EventTime || f.Name == src.EventID {
			return nil, invalid("column %q (%v) of source %s is missing; every event needs it", f.Name, f.Type, src.Name)
		}
		b.Cols[i] = nulls(f.Type, n)
	}
	return b, nil
}

// checkedByRow reports whether the column holds an event time or known time. The ingester checks
// these for each row, so that a time out of range rejects only its own row.
func checkedByRow(src *plan.Source, column string) bool {
	if column == src.EventTime || column == src.Known.Column {
		return true
	}
	return slices.ContainsFunc(src.Columns, func(c plan.SourceColumn) bool { return c.Known != nil && c.Known.Column == column })
}

func nulls(t plan.Type, n int) *vector.Vector {
	v := vector.New(t, n)
	v.Null = vector.NewBitmap(n)
	v.Null.Fill(n)
	return v
}
