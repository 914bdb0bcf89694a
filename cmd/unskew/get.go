package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/freshness"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/internal/wire"
	"github.com/unskew/unskew/sdk"
	"github.com/unskew/unskew/server"
)

func newGet(o *options) *cobra.Command {
	var url string
	var a getArgs
	c := &cobra.Command{
		Use:   "get SERVICE",
		Short: "Read the features of one entity, as a model would",
		Long: `Reads every feature of a service for one combination of keys and request fields, and
prints the value and status of each. It reads the project's online store and prints why an
expression failed. With --max-staleness, it fails if events that were stored longer ago may
not have been applied. With --server it reads from a running server, which does not report the
reason. Every key and request field must be given; --null NAME gives one without a value.`,
		Example: `  unskew get fraud_v1 --key user_id=42 --key merchant_id=m7 --request amount=12.5
  unskew get fraud_v1 --key user_id=42 --server http://localhost:7171 --json`,
		Args:              takes(1, 1),
		ValidArgsFunction: first(o.completes(serviceNames), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			var why reasons
			return o.withServer(c, url, why.hear, func(ctx context.Context, client *sdk.Client) error {
				return o.get(c, client, &why, args[0], a)
			})
		},
	}
	c.Flags().StringVar(&url, "server", "", "read from the server at `URL` instead of the project's store")
	c.Flags().StringArrayVarP(&a.keys, "key", "k", nil, "`NAME=VALUE` of a key; repeat for several")
	c.Flags().StringArrayVarP(&a.request, "request", "r", nil, "`NAME=VALUE` of a request field; repeat for several")
	c.Flags().StringArrayVar(&a.null, "null", nil, "`NAME` of a key or request field without a value; repeat for several")
	c.Flags().DurationVar(&a.maxStaleness, "max-staleness", 0, "fail if a view is staler than `DURATION`, such as 30s")
	c.Flags().StringVar(&a.onStale, "on-stale", "error", "what to do if a view is staler than --max-staleness: `error|status`; status prints STALE")
	completeFlag(c, "key", o.completesFields(func(s *plan.Service) []plan.Field { return s.Keys }))
	completeFlag(c, "request", o.completesFields(func(s *plan.Service) []plan.Field { return s.Request }))
	return c
}

// getArgs are the flags of get.
type getArgs struct {
	keys, request, null []string
	maxStaleness        time.Duration
	onStale             string
}

// options returns the options of the read.
func (a *getArgs) options() ([]sdk.ReadOption, error) {
	opts := []sdk.ReadOption{sdk.WithFreshness()}
	if a.onStale != "error" && a.onStale != "status" {
		return nil, fmt.Errorf("--on-stale %s: it is error or status", a.onStale)
	}
	if a.maxStaleness < 0 {
		return nil, fmt.Errorf("--max-staleness %v is negative", a.maxStaleness)
	}
	if a.maxStaleness == 0 {
		return opts, nil
	}
	opts = append(opts, sdk.MaxStaleness(a.maxStaleness))
	if a.onStale == "status" {
		opts = append(opts, sdk.StaleAsStatus())
	}
	return opts, nil
}

// withServer calls f with a client of the server at url. If url is empty, it runs a server on
// the project's own store for the duration of the call; that server calls failed with the
// reasons of errors.
func (o *options) withServer(c *cobra.Command, url string, failed func(output string, row int, text string), f func(context.Context, *sdk.Client) error) (err error) {
	if url != "" {
		client, err := newClient(url)
		if err != nil {
			return err
		}
		return orStart(f(c.Context(), client))
	}
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	st, err := openStores(c, p)
	if err != nil {
		return err
	}
	defer closeWith(&err, st)
	srv, err := server.New(server.Config{Clock: clock.Now, States: st.States(), Failed: failed,
		Freshness: freshness.New(freshness.Config{Log: st.Log, Store: st.Store, Clock: clock.Now})})
	if err != nil {
		return err
	}
	if err := srv.Promote(p.Plan); err != nil {
		return err
	}
	ln, err := server.Listen("127.0.0.1:0", false)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(c.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Serve(ctx, ln) }()
	defer func() { stop(); err = errors.Join(err, <-stopped) }()
	client, err := sdk.New("http://" + ln.Addr().String())
	if err != nil {
		return err
	}
	if err = f(ctx, client); err != nil {
		if ended := st.HostEnded(c.Context()); ended != nil {
			return ended // which the answer only calls unavailable
		}
	}
	return err
}

func (o *options) get(c *cobra.Command, client *sdk.Client, why *reasons, service string, a getArgs) error {
	opts, err := a.options()
	if err != nil {
		return err
	}
	info, err := client.DescribeService(c.Context(), service)
	if err != nil {
		return err
	}
	keyCols, requestCols, err := asked(info, a.keys, a.request, a.null)
	if err != nil {
		return err
	}
	rows, err := client.GetFeatures(c.Context(), service, keyCols, requestCols, opts...)
	if err != nil {
		return err
	}
	if o.json {
		row, err := jsonRow(rows, why)
		if err != nil {
			return err
		}
		return printJSON(c, row)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "feature\tvalue\tstatus")
	for _, f := range rows.Features() {
		v, err := values(f)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%v\t%s\n", f.Name(), v.Value(0), status(f, why))
	}
	fmt.Fprintf(w, "\nas of %s%s, service %s version %s\n", rows.AsOf.Format("2006-01-02T15:04:05.999999Z07:00"), behind(rows), service, short(rows.Fingerprint))
	return w.Flush()
}

// behind says how stale the answer is if events wait to be applied.
func behind(rows *sdk.Rows) string {
	waiting := false
	for _, f := range rows.Freshness {
		waiting = waiting || f.Lag > 0
	}
	if s, known := rows.Staleness(); known && waiting {
		return fmt.Sprintf(" and %v stale", s.Round(time.Millisecond))
	}
	return ""
}

func short(fingerprint string) string { return fingerprint[:min(12, len(fingerprint))] }

// reasons collects why outputs are errors, as far as the server reports it.
type reasons struct {
	mu sync.Mutex
	of map[string]string
}

func (r *reasons) hear(output string, _ int, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[string]string{}
	}
	r.of[output] = text
}

// text returns the reason for an output, or "".
func (r *reasons) text(output string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[output]
}

func status(f *sdk.Feature, why *reasons) string {
	if r := f.Reason(0); r != 0 {
		return fmt.Sprintf("%v (%v)", f.Status(0), r)
	}
	if text := why.text(f.Name()); text != "" {
		return fmt.Sprintf("%v (%s)", f.Status(0), text)
	}
	return f.Status(0).String()
}

// values returns the values of a feature.
func values(f *sdk.Feature) (*vector.Vector, error) {
	t, err := plan.ParseType(f.Type())
	if err != nil {
		return nil, err
	}
	return wire.Vector(f.Wire(), t)
}

func jsonRow(rows *sdk.Rows, why *reasons) (any, error) {
	type cell struct {
		Value  json.RawMessage `json:"value"`
		Status string          `json:"status"`
		Reason string          `json:"reason,omitempty"`
		Error  string          `json:"error,omitempty"`
	}
	features := map[string]cell{}
	for _, f := range rows.Features() {
		v, err := values(f)
		if err != nil {
			return nil, err
		}
		x := cell{Value: wire.AppendPlainJSON(nil, v, 0), Status: f.Status(0).String(), Error: why.text(f.Name())}
		if r := f.Reason(0); r != 0 {
			x.Reason = r.String()
		}
		features[f.Name()] = x
	}
	staleness := ""
	if s, known := rows.Staleness(); known {
		staleness = s.String()
	}
	return struct {
		AsOf        string          `json:"as_of"`
		Fingerprint string          `json:"fingerprint"`
		Features    map[string]cell `json:"features"`
		Staleness   string          `json:"staleness,omitempty"`
	}{rows.AsOf.Format("2006-01-02T15:04:05.999999Z07:00"), rows.Fingerprint, features, staleness}, nil
}
