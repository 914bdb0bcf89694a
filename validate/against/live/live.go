// Package live reads values from the feature server of another system, a Feast server or an Unskew server, and keeps them in a Parquet file, which
// validate/against compares. It changes nothing there.
package live

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/parquetfile/arrowfile"
)

// Config says what is read.
type Config struct {
	URL     string
	Token   string // "": none
	Service *plan.Service
	Name    string            // of the service there; "": that of Service
	Columns map[string]string // what keys, request fields and features are called there, if otherwise
	Rows    []Row
	Rate    float64 // requests each second at most; 0: 10
	Batch   int     // rows of one request; 0: 100
	Out     string  // the file to write
	// Progress, if set, hears how many rows are read.
	Progress func(rows int64)
}

// Row is what is asked for: values of the keys and request fields of the service, in their order. Request is nil if the fields are not known.
type Row struct{ Keys, Request []plan.Value }

// Time is the column of the file with the time of each read.
const Time = "read_at"

// values are the answers to rows.
type values struct {
	names []string // of the features there
	rows  [][]any  // JSON values, numbers as json.Number
	asOf  plan.EventTime
}

// protocol is how a server is asked.
type protocol interface {
	read(ctx context.Context, c *Config, rows []Row) (*values, error)
}

// Read asks for all rows and writes what the server answers, under the names of the service's keys, request fields and features. It returns the name of the
// protocol that the server speaks.
func Read(ctx context.Context, c Config) (system string, err error) {
	c.Name, c.Rate, c.Batch = cmp.Or(c.Name, c.Service.Name), cmp.Or(c.Rate, 10), cmp.Or(c.Batch, 100)
	call, err := newCaller(c.URL, c.Token)
	if err != nil {
		return "", err
	}
	system, p, err := call.protocol(ctx, c.Name)
	if err != nil {
		return "", err
	}
	w := &writer{Config: &c}
	every := time.NewTicker(time.Duration(float64(time.Second) / c.Rate))
	defer every.Stop()
	for rest := c.Rows; len(rest) > 0; {
		n := min(c.Batch, len(rest))
		got, err := p.read(ctx, &c, rest[:n])
		if err != nil {
			return system, w.close(err)
		}
		if err := w.add(rest[:n], got); err != nil {
			return system, w.close(err)
		}
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return system, w.close(ctx.Err())
		case <-every.C:
		}
	}
	return system, w.close(nil)
}

// there is what a key, request field or feature is called on the server.
func (c *Config) there(name string) string { return cmp.Or(c.Columns[name], name) }

// output finds the feature that a name there is: one that Columns says, or that is called so, like view__feature, or like the feature without its view
// if one is.
func (c *Config) output(name string) int {
	outputs := c.Service.Outputs()
	short := -1
	for i, o := range outputs {
		if named := c.Columns[o.Name]; named != "" {
			if named == name {
				return i
			}
			continue
		}
		if o.Name == name || strings.Replace(o.Name, ".", "__", 1) == name {
			return i
		}
		if o.Name[strings.LastIndexByte(o.Name, '.')+1:] == name {
			if short >= 0 {
				return -1
			}
			short = i
		}
	}
	return short
}

// writer writes the file.
type writer struct {
	*Config
	file    *arrowfile.RowFile
	names   []string // of the first answer
	outputs []int    // of the service, by column of an answer; -1: the column is left out
	types   []plan.Type
	rows    int64
}

// begin creates the file once it is known which features there are.
func (w *writer) begin(names []string) error {
	w.names = names
	outputs := w.Service.Outputs()
	fields := slices.Clone(w.Service.Keys)
	if w.Rows[0].Request != nil {
		fields = append(fields, w.request()...)
	}
	fields = append(fields, plan.Field{Name: Time, Type: plan.T(plan.Timestamp)})
	var taken []int
	for _, name := range names {
		i := w.output(name)
		key := slices.ContainsFunc(w.Service.Keys, func(k plan.Field) bool { return w.there(k.Name) == name }) // Feast answers with these, too
		if i >= 0 && (key || slices.Contains(taken, i) || !comparable(outputs[i].Type)) {
			i = -1
		}
		w.outputs, w.types = append(w.outputs, i), append(w.types, plan.Type{})
		if i < 0 {
			continue
		}
		taken = append(taken, i)
		w.types[len(w.types)-1] = outputs[i].Type.Unwrap()
		fields = append(fields, plan.Field{Name: outputs[i].Name, Type: stored(outputs[i].Type)})
	}
	if len(taken) == 0 {
		var ours []string
		for _, o := range outputs {
			ours = append(ours, o.Name)
		}
		hint := ""
		if len(names) > 0 {
			hint = nearest.Hint(names[0], ours)
		}
		return fmt.Errorf("%s answers with no feature of service %s, which are %s; name them with --column FEATURE=NAME. It has %s%s", w.URL, w.Service.Name, strings.Join(ours, ", "), strings.Join(names, ", "), hint)
	}
	var err error
	w.file, err = arrowfile.CreateRowFile(w.Out, fields)
	return err
}

// request are the request fields that are no keys.
func (w *writer) request() (fields []plan.Field) {
	for _, f := range w.Service.Request {
		if !slices.ContainsFunc(w.Service.Keys, func(k plan.Field) bool { return k.Name == f.Name }) {
			fields = append(fields, f)
		}
	}
	return fields
}

// add writes the answers to some rows.
func (w *writer) add(rows []Row, got *values) error {
	if w.file == nil {
		if err := w.begin(got.names); err != nil {
			return err
		}
	}
	if !slices.Equal(w.names, got.names) || len(got.rows) != len(rows) {
		return fmt.Errorf("%s answers with other features or rows than before: %d rows of %s for %d rows", w.URL, len(got.rows), strings.Join(got.names, ", "), len(rows))
	}
	for i, r := range rows {
		out := slices.Clone(r.Keys)
		for k, f := range w.Service.Request {
			if r.Request != nil && slices.ContainsFunc(w.request(), func(x plan.Field) bool { return x.Name == f.Name }) {
				out = append(out, r.Request[k])
			}
		}
		out = append(out, plan.TimestampValue(got.asOf))
		for n, o := range w.outputs {
			if o < 0 {
				continue
			}
			v, err := valueOf(got.rows[i][n], w.types[n])
			if err != nil {
				return fmt.Errorf("%s: feature %s of row %d: %w", w.URL, got.names[n], w.rows+1, err)
			}
			out = append(out, v)
		}
		if err := w.file.Add(out); err != nil {
			return err
		}
		w.rows++
	}
	if w.Progress != nil {
		w.Progress(w.rows)
	}
	return nil
}

func (w *writer) close(err error) error {
	if w.file == nil {
		return err
	}
	if failed := w.file.Close(); err == nil {
		err = failed
	}
	return err
}
