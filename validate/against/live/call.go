package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/nearest"
)

// The limits of one call.
const (
	callTime    = 30 * time.Second
	answerBytes = 64 << 20
	shownBytes  = 300 // of an answer in an error
)

// caller asks a server.
type caller struct {
	base  string
	token string
	http  *http.Client
}

func newCaller(base, token string) (*caller, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the address of a server, such as http://127.0.0.1:6566", base)
	}
	if token != "" && u.Scheme != "https" && !loopback(u.Hostname()) {
		return nil, fmt.Errorf("a token is not sent to %s without TLS; use https", u.Host)
	}
	refuse := func(r *http.Request, _ []*http.Request) error {
		return fmt.Errorf("the server redirects to %s; name that address", r.URL.Host)
	}
	return &caller{strings.TrimSuffix(base, "/"), token, &http.Client{Timeout: callTime, CheckRedirect: refuse}}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// statusError is an answer that is no success.
type statusError struct {
	status int
	text   string
}

// Error implements error.
func (e *statusError) Error() string { return e.text }

// call sends JSON, or asks with GET if body is nil, and decodes the answer.
func (c *caller) call(ctx context.Context, path string, body, into any) error {
	method, sent := http.MethodGet, io.Reader(nil)
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		method, sent = http.MethodPost, bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, sent)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, answerBytes+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s%s: %w", c.base, path, err)
	case len(text) > answerBytes:
		return fmt.Errorf("%s%s answers with more than %d bytes", c.base, path, answerBytes)
	case res.StatusCode != http.StatusOK:
		return &statusError{res.StatusCode, fmt.Sprintf("%s%s answers %s: %s", c.base, path, res.Status, strings.ToValidUTF8(string(text[:min(len(text), shownBytes)]), "?"))}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s%s answers with other JSON than a feature server: %w", c.base, path, err)
	}
	return nil
}

// protocol finds out what the server is. Both describe themselves; a Feast server that does not is asked as one.
func (c *caller) protocol(ctx context.Context, service string) (string, protocol, error) {
	var described struct {
		Paths map[string]json.RawMessage `json:"paths"`
	}
	err := c.call(ctx, "/openapi.json", nil, &described)
	if failed := (*statusError)(nil); err != nil && (!errors.As(err, &failed) || failed.status != http.StatusNotFound) {
		return "", nil, err
	}
	var services []string
	for _, path := range slices.Sorted(maps.Keys(described.Paths)) {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(path, "/v1/services/"), ":read"); ok {
			services = append(services, name)
		}
	}
	switch {
	case slices.Contains(services, service):
		return "Unskew", unskew{c}, nil
	case services != nil:
		return "", nil, fmt.Errorf("%s: %s; --service-there names another", c.base, nearest.None("service", service, services))
	}
	return "Feast", feast{c}, nil
}

// unskew is the row-shaped API of an Unskew server.
type unskew struct{ *caller }

func (u unskew) read(ctx context.Context, c *Config, rows []Row) (*values, error) {
	asked := make([]map[string]any, len(rows))
	for i, r := range rows {
		asked[i] = map[string]any{}
		for k, f := range c.Service.Keys {
			asked[i][c.there(f.Name)] = jsonOf(r.Keys[k])
		}
		for k, v := range r.Request {
			asked[i][c.there(c.Service.Request[k].Name)] = jsonOf(v)
		}
	}
	var got struct {
		AsOf string           `json:"as_of"`
		Rows []map[string]any `json:"rows"`
	}
	if err := u.call(ctx, "/v1/services/"+url.PathEscape(c.Name)+":read", map[string]any{"rows": asked}, &got); err != nil {
		return nil, err
	}
	out := &values{}
	var err error
	if out.asOf, err = plan.ParseTime(got.AsOf); err != nil || len(got.Rows) == 0 {
		return nil, fmt.Errorf("%s answers without as_of or rows", u.base)
	}
	out.names = slices.Sorted(maps.Keys(got.Rows[0]))
	for _, r := range got.Rows {
		row := make([]any, len(out.names))
		for n, name := range out.names {
			row[n] = r[name]
		}
		out.rows = append(out.rows, row)
	}
	return out, nil
}

// feast is the API of a Feast feature server.
type feast struct{ *caller }

func (f feast) read(ctx context.Context, c *Config, rows []Row) (*values, error) {
	entities := map[string][]any{}
	for _, r := range rows {
		for k, key := range c.Service.Keys {
			entities[c.there(key.Name)] = append(entities[c.there(key.Name)], jsonOf(r.Keys[k]))
		}
		for k, v := range r.Request {
			name := c.there(c.Service.Request[k].Name)
			entities[name] = append(entities[name], jsonOf(v))
		}
	}
	var got struct {
		Metadata struct {
			Names []string `json:"feature_names"`
		} `json:"metadata"`
		Results []struct {
			Values []any `json:"values"`
		} `json:"results"`
	}
	out := &values{asOf: plan.TimeOf(time.Now())} // before it is read: of an event of this very moment it is not known whether the answer has it
	err := f.call(ctx, "/get-online-features", map[string]any{"feature_service": c.Name, "entities": entities, "full_feature_names": true}, &got)
	if err != nil {
		return nil, err
	}
	out.names = got.Metadata.Names
	if len(out.names) == 0 || len(got.Results) != len(out.names) {
		return nil, fmt.Errorf("%s answers with %d results for %d feature names", f.base, len(got.Results), len(out.names))
	}
	out.rows = make([][]any, len(rows))
	for n, x := range got.Results {
		if len(x.Values) != len(rows) {
			return nil, fmt.Errorf("%s answers with %d values of %s for %d rows", f.base, len(x.Values), out.names[n], len(rows))
		}
		for i, v := range x.Values {
			out.rows[i] = append(out.rows[i], v)
		}
	}
	return out, nil
}
