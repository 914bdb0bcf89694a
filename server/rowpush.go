package server

import (
	"context"
	"strconv"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/records"
	"github.com/unskew/unskew/internal/wire"
)

// pushRows answers POST /v1/sources/NAME:push.
func (s *Server) pushRows(ctx context.Context, name string, body []byte) ([]byte, error) {
	src, err := s.stream(ctx, name)
	if err != nil {
		return nil, err
	}
	var e envelope
	if err := e.decode(body, "rows"); err != nil {
		return nil, err
	}
	rows, err := e.parse(sourceFields(src), src.Paths, false, s.cfg.MaxRows)
	if err != nil {
		return nil, err
	}
	if rows.N == 0 {
		return nil, invalid("the request has no rows; send at least one")
	}
	out, good := rejected(rows)
	if len(good) > 0 {
		batch := rows.Batch
		if len(good) < rows.N {
			batch = ingest.Take(nil, batch, good)
		}
		pushed, err := s.ingest(ctx, src, batch)
		if err != nil {
			return nil, err
		}
		for i, row := range good {
			out[row] = pushed[i]
		}
	}
	s.countPushed(src.Name, out)
	return appendPushed(nil, out), nil
}

func sourceFields(src *plan.Source) []plan.Field {
	fields := make([]plan.Field, len(src.Columns))
	for i := range src.Columns {
		fields[i] = src.Columns[i].Field
	}
	return fields
}

// rejected sets the outcome of rows that could not be parsed, and lists the indexes of the others.
func rejected(rows *records.Rows) (out []ingest.Pushed, good []int) {
	out = make([]ingest.Pushed, rows.N)
	for _, bad := range rows.Bad {
		if out[bad.Row].Outcome != 0 {
			continue // only the first error of a row is reported
		}
		message := bad.Reason
		if bad.Column >= 0 {
			message = rows.Fields[bad.Column].Name + ": " + message
		}
		out[bad.Row] = ingest.Pushed{Outcome: ingest.Rejected, Message: message}
	}
	for i := range out {
		if out[i].Outcome == 0 {
			good = append(good, i)
		}
	}
	return out, good
}

func appendPushed(dst []byte, rows []ingest.Pushed) []byte {
	dst = append(dst, `{"rows":[`...)
	for i, r := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = wire.AppendJSONString(append(dst, `{"outcome":`...), r.Outcome.String())
		if r.Position > 0 {
			dst = strconv.AppendUint(append(dst, `,"position":`...), r.Position, 10)
		}
		if r.Shard > 0 {
			dst = strconv.AppendInt(append(dst, `,"shard":`...), int64(r.Shard), 10)
		}
		if r.Message != "" {
			dst = wire.AppendJSONString(append(dst, `,"message":`...), r.Message)
		}
		dst = append(dst, '}')
	}
	return append(dst, "]}\n"...)
}
