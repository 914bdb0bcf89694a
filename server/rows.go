package server

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/records"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// The row-shaped JSON endpoints are for requests written by hand: each row is an object. The
// procedures of the contract exchange columns and are for programs.
const (
	servicesPath = "/v1/services/"
	sourcesPath  = "/v1/sources/"
	readVerb     = ":read"
	pushVerb     = ":push"
)

// rowCall answers a request's body; name is a service or a source.
type rowCall func(ctx context.Context, name string, body []byte) ([]byte, error)

// rowEndpoints adds the row-shaped endpoints and their description.
func (s *Server) rowEndpoints(mux *http.ServeMux) {
	mux.Handle(servicesPath+"{call}", s.visited(s.admitted(s.rowHandler(readVerb, s.readRows))))
	mux.Handle(sourcesPath+"{call}", s.visited(s.admitted(s.rowHandler(pushVerb, s.pushRows))))
	mux.HandleFunc("GET "+openAPIPath, s.serveOpenAPI)
}

// rowHandler serves the paths that end in a verb.
func (s *Server) rowHandler(verb string, call rowCall) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, body, p := s.rowRequest(w, r, verb)
		if p != nil {
			p.write(w)
			return
		}
		var answer []byte
		procedure := strings.TrimSuffix(r.URL.Path, r.PathValue("call")) + verb // without the name, so that the number of metrics stays bounded
		reached(r.Context())
		err := s.unary(r.Context(), procedure, s.cfg.Timeout, func(ctx context.Context) (err error) {
			answer, err = call(ctx, name, body)
			return err
		})
		if err != nil {
			problemOf(err).write(w)
			return
		}
		writeJSON(w, r, http.StatusOK, "application/json", answer)
	})
}

// rowRequest checks everything about a request except the content of its body.
func (s *Server) rowRequest(w http.ResponseWriter, r *http.Request, verb string) (name string, body []byte, p *problem) {
	name, ok := strings.CutSuffix(r.PathValue("call"), verb)
	if !ok || name == "" {
		return "", nil, newProblem(http.StatusNotFound, "not_found", "there is nothing at %s; the path must end in a name and %s, as in %sNAME%s",
			r.URL.Path, verb, strings.TrimSuffix(r.URL.Path, r.PathValue("call")), verb)
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return "", nil, newProblem(http.StatusMethodNotAllowed, "unimplemented", "%s is called with POST, not %s", r.URL.Path, r.Method)
	}
	if p := wrongContent(r); p != nil {
		return "", nil, p
	}
	body, p = s.rowBody(w, r)
	return name, body, p
}

// wrongContent checks the headers that describe the body.
func wrongContent(r *http.Request) *problem {
	sent := r.Header.Get("Content-Type")
	kind, params, err := mime.ParseMediaType(sent)
	switch {
	case sent == "":
		return newProblem(http.StatusUnsupportedMediaType, "invalid_argument", "the request has no Content-Type; send Content-Type: application/json")
	case err != nil || kind != "application/json":
		return newProblem(http.StatusUnsupportedMediaType, "invalid_argument", "Content-Type %q is not supported here; send Content-Type: application/json", sent)
	case params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8"):
		return newProblem(http.StatusUnsupportedMediaType, "invalid_argument", "charset %q is not supported here; JSON is UTF-8", params["charset"])
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" && e != "gzip" {
		return newProblem(http.StatusUnsupportedMediaType, "invalid_argument", "Content-Encoding %q is not supported here; send gzip or none", e)
	}
	return nil
}

// rowBody reads and decompresses the body.
func (s *Server) rowBody(w http.ResponseWriter, r *http.Request) ([]byte, *problem) {
	most := int64(min(s.cfg.MaxBytes, limits.JSONBytes))
	var in io.Reader = http.MaxBytesReader(w, r.Body, most)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, newProblem(http.StatusBadRequest, "invalid_argument", "the body does not match its Content-Encoding: %v", err)
		}
		in = unpacked
	}
	body, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case errors.As(err, new(*http.MaxBytesError)), err == nil && int64(len(body)) > most:
		return nil, newProblem(http.StatusRequestEntityTooLarge, "resource_exhausted", "the request has more than %d bytes, which is the limit for JSON; send it in parts", most)
	case err != nil:
		return nil, newProblem(http.StatusBadRequest, "invalid_argument", "reading the body failed: %v", err)
	}
	return body, nil
}

// envelope is the outer object of a request.
type envelope struct {
	rows        []byte
	features    []string
	fingerprint string

	maxStaleness  uint64 // in microseconds
	onStale       unskewv1.OnStale
	withFreshness bool
}

// decode reads the members of a request. It accepts those in allowed; only rows is required.
func (e *envelope) decode(body []byte, allowed ...string) error {
	err := records.Members(body, func(name string, value []byte) error {
		if !slices.Contains(allowed, name) {
			return fmt.Errorf("unknown member %q; the members are %s", name, strings.Join(allowed, ", "))
		}
		return e.set(name, value)
	})
	if err == nil && e.rows == nil {
		err = errors.New(`the member "rows" is missing; send {"rows": [{…}, …]}`)
	}
	if err != nil {
		return invalid("the request: %v", err)
	}
	return nil
}

func (e *envelope) set(name string, value []byte) (err error) {
	switch name {
	case "rows":
		if e.rows = value; value[0] != '[' {
			err = errors.New("rows is not an array of objects")
		}
	case "features":
		if json.Unmarshal(value, &e.features) != nil {
			err = errors.New("features is not an array of strings")
		}
	case "fingerprint":
		if json.Unmarshal(value, &e.fingerprint) != nil {
			err = errors.New("fingerprint is not a string")
		}
	case "max_staleness":
		e.maxStaleness, err = stalenessOf(value)
	case "on_stale":
		e.onStale, err = onStaleOf(value)
	case "with_freshness":
		if json.Unmarshal(value, &e.withFreshness) != nil {
			err = errors.New("with_freshness is not true or false")
		}
	}
	return err
}

// stalenessOf parses a duration such as "30s", to microseconds.
func stalenessOf(value []byte) (uint64, error) {
	var text string
	if json.Unmarshal(value, &text) == nil {
		if d, err := time.ParseDuration(text); err == nil && d >= time.Microsecond {
			return uint64(d.Microseconds()), nil
		}
	}
	return 0, fmt.Errorf(`max_staleness is %s; it is a duration of at least 1us, such as "30s" or "500ms"`, value)
}

func onStaleOf(value []byte) (unskewv1.OnStale, error) {
	switch string(value) {
	case `"error"`:
		return unskewv1.OnStale_ON_STALE_ERROR, nil
	case `"status"`:
		return unskewv1.OnStale_ON_STALE_STATUS, nil
	}
	return 0, fmt.Errorf(`on_stale is %s; it is "error" or "status"`, value)
}

// parse reads the rows of a request, whose objects have the given fields, some at paths (see
// plan.Source). Memory is reserved for
// every field of a row, so the number of values is limited as well as that of rows.
func (e *envelope) parse(fields []plan.Field, paths map[string][]string, complete bool, most int) (*records.Rows, error) {
	o := records.Options{Format: records.JSON, Fields: fields, Paths: paths, Pushed: true, Complete: complete, QuotedInts: true}
	rows, err := records.All(e.rows, o, min(most, limits.RequestCells/max(1, len(fields))))
	if many := (*records.TooManyRows)(nil); errors.As(err, &many) {
		return nil, tooMuch("the request has more than %d rows, which is the limit for rows of %d fields; send it in parts", many.Most, len(fields))
	}
	if err != nil {
		return nil, invalid("rows: %v", err)
	}
	return rows, nil
}
