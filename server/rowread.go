package server

import (
	"context"
	"fmt"
	"slices"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/records"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/internal/wire"
)

// readRows answers POST /v1/services/NAME:read.
func (s *Server) readRows(ctx context.Context, name string, body []byte) (out []byte, err error) {
	d, err := s.current()
	if err != nil {
		return nil, err
	}
	svc, err := d.service(name)
	if err != nil {
		return nil, err
	}
	var e envelope
	if err := e.decode(body, "rows", "features", "fingerprint", "max_staleness", "on_stale", "with_freshness"); err != nil {
		return nil, err
	}
	if err := svc.checkFingerprint(e.fingerprint); err != nil {
		return nil, err
	}
	rows, err := e.parse(svc.rowFields, nil, true, s.cfg.MaxRows)
	if err != nil {
		return nil, err
	}
	var q query
	if q.demand, err = s.demandOf(e.maxStaleness, e.onStale, e.withFreshness); err != nil {
		return nil, err
	}
	if err := svc.bindRows(&q, rows, e.features); err != nil {
		return nil, err
	}
	err = s.compute(ctx, svc, &q, nil, func(a *answer) error {
		if out, err = svc.appendRows(nil, &q, a, s.cfg.MaxAnswerBytes); err == nil {
			err = visitOf(ctx).write(len(out))
		}
		return err
	})
	return out, err
}

// rowFields returns the fields of a row in a read: the keys and the request fields, each name once.
func rowFields(p *plan.Service) []plan.Field {
	fields := slices.Clone(p.Keys)
	for _, f := range p.Request {
		if !slices.ContainsFunc(fields, func(key plan.Field) bool { return key.Name == f.Name }) {
			fields = append(fields, f)
		}
	}
	return fields
}

// bindRows validates rows that have rowFields. The query shares their memory.
func (s *service) bindRows(q *query, rows *records.Rows, features []string) error {
	if err := s.badRows(rows); err != nil {
		return err
	}
	if q.n = rows.N; q.n == 0 {
		return invalid("the request has no rows; send at least one")
	}
	column := func(f plan.Field) *vector.Vector { return rows.Col(f.Name) }
	for _, f := range s.plan.Keys {
		q.keys = append(q.keys, column(f))
	}
	q.request = vector.Batch{N: q.n, Fields: s.plan.Request}
	for _, f := range s.plan.Request {
		q.request.Cols = append(q.request.Cols, column(f))
	}
	if err := s.checkTexts(q.request.Cols); err != nil {
		return err
	}
	return s.selectOutputs(q, features)
}

// badRows returns an error for the rows that cannot be parsed, nil if there are none.
func (s *service) badRows(rows *records.Rows) error {
	if len(rows.Bad) == 0 {
		return nil
	}
	bad := rows.Bad[:min(len(rows.Bad), shownBadRows)]
	list := make([]problemInRow, len(bad))
	for i, b := range bad {
		list[i] = problemInRow{Pointer: pointer(b.Row, ""), Detail: b.Reason}
		if b.Column >= 0 {
			list[i].Pointer = pointer(b.Row, rows.Fields[b.Column].Name)
		}
	}
	return &callerError{
		code:    connect.CodeInvalidArgument,
		message: fmt.Sprintf("%s: %s; a row of service %s has %s", list[0].Pointer, list[0].Detail, s.plan.Name, listFields(rows.Fields)),
		rows:    list,
	}
}

// appendRows appends an answer as JSON with one object for each row.
func (s *service) appendRows(dst []byte, q *query, a *answer, most int) ([]byte, error) {
	dst = wire.AppendJSONString(append(dst, `{"service":`...), s.plan.Name)
	dst = wire.AppendJSONString(append(dst, `,"fingerprint":`...), s.fingerprint)
	dst = wire.AppendJSONString(append(dst, `,"as_of":`...), a.asOf.String())
	dst = s.appendFreshnessOfRows(dst, q)
	dst = append(dst, `,"rows":[`...)
	for i := range q.n {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst = s.appendRow(dst, q, a, i); len(dst) > most {
			return nil, encoding{most: most}.tooLong()
		}
	}
	dst = append(dst, `],"statuses":[`...)
	for i := range q.n {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst = s.appendRowStatuses(dst, q, a, i); len(dst) > most {
			return nil, encoding{most: most}.tooLong()
		}
	}
	return append(dst, "]}\n"...), nil
}

func (s *service) appendRow(dst []byte, q *query, a *answer, row int) []byte {
	before := byte('{')
	for _, o := range q.outputs {
		dst = append(append(dst, before), s.names[o]...)
		dst = wire.AppendPlainJSON(dst, a.cols[o].Vec, a.places[o].Of(row))
		before = ','
	}
	if before == '{' {
		dst = append(dst, '{')
	}
	return append(dst, '}')
}

// appendRowStatuses appends the statuses of a row that are not PRESENT. The status of a default, or
// of a stale value, is followed by its reason: the status that it replaced.
func (s *service) appendRowStatuses(dst []byte, q *query, a *answer, row int) []byte {
	before := byte('{')
	for _, o := range q.outputs {
		col, at := a.cols[o], a.places[o].Of(row)
		status := col.Status[at]
		stale := q.stale != nil && q.stale[o]
		if status == kernel.Present && !stale {
			continue
		}
		dst = append(append(append(dst, before), s.names[o]...), '"')
		if stale {
			dst = append(dst, "STALE:"...)
		}
		dst = append(dst, status.String()...)
		if status == kernel.Defaulted {
			dst = append(append(dst, ':'), col.Reason[at].String()...)
		}
		dst = append(dst, '"')
		before = ','
	}
	if before == '{' {
		dst = append(dst, '{')
	}
	return append(dst, '}')
}
