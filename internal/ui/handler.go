package ui

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/recompute"
)

// Path is where the pages of a server begin.
const Path = "/ui/"

// checks knows what was found of a server's answers; *recompute.Shadow implements it.
type checks interface {
	Status() recompute.ShadowStatus
	Reports() []*recompute.Report
}

// Config says what the pages of a server show.
type Config struct {
	Project string
	Plan    *plan.Plan
	Checks  checks // nil: nothing is checked
	// Explain explains the value that a feature of a service, ROLE.FEATURE, had in a row of an answer; nil: no page does. It is called once at a time.
	Explain func(ctx context.Context, output, request string, row int64) (*explain.Explanation, error)
}

const (
	maxQuery      = 256 // bytes of what a page is asked for
	mostPages     = 8   // made at a time
	mostExplained = 64  // explanations that are kept
)

// handler serves the pages.
type handler struct {
	Config
	pages  chan struct{} // has an element for each page that is being made
	busy   chan struct{} // has an element while something is explained
	script asset
	style  asset

	mu        sync.Mutex
	explained map[string]Explained // by ID
	order     []string             // of these, the oldest first
}

// Handler serves the pages, at Path. Who may see them is for the server to say: they name entities and values.
func Handler(c Config) http.Handler {
	h := &handler{
		Config: c, pages: make(chan struct{}, mostPages), busy: make(chan struct{}, 1), explained: map[string]Explained{},
		script: asset{script, Path + "assets/" + nameOf(script) + ".js"}, style: asset{styleText, Path + "assets/" + nameOf(styleText) + ".css"},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path+"{$}", h.bounded(h.overview))
	mux.HandleFunc("GET "+Path+"differences/{id}", h.bounded(h.difference))
	mux.HandleFunc("GET "+Path+"differences/{id}/events", h.events)
	mux.HandleFunc("GET "+h.script.Path, h.asset(h.script, "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET "+h.style.Path, h.asset(h.style, "text/css; charset=utf-8"))
	mux.HandleFunc("GET "+strings.TrimSuffix(Path, "/"), func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, Path, http.StatusMovedPermanently) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { h.fail(w, http.StatusNotFound, "There is no such page.") })
	return guarded(mux)
}

// nameOf is a name that changes with a text, so that a browser can keep it.
func nameOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:16] }

// policy allows the script and the style sheet of the server, and nothing else: no page from elsewhere can show one of these in itself.
const policy = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; img-src data:; style-src 'self'; script-src 'self'"

// guarded sets the headers of every answer, and refuses what a page from elsewhere asks for: with a password that a browser keeps, such a request
// has it. Following a link to a page is allowed.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := w.Header()
		to.Set("Content-Security-Policy", policy)
		to.Set("X-Content-Type-Options", "nosniff")
		to.Set("Referrer-Policy", "no-referrer")
		to.Set("Cross-Origin-Resource-Policy", "same-origin")
		to.Set("Cross-Origin-Opener-Policy", "same-origin")
		to.Set("Cache-Control", "no-store")
		site := r.Header.Get("Sec-Fetch-Site")
		if (site == "cross-site" || site == "same-site") && (r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document") {
			http.Error(w, "a page from elsewhere may not load this", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bounded bounds how many pages are made at a time.
func (h *handler) bounded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case h.pages <- struct{}{}:
			defer func() { <-h.pages }()
			next(w, r)
		default:
			h.fail(w, http.StatusServiceUnavailable, "The server makes many pages right now; load this one again.")
		}
	}
}

func (h *handler) asset(a asset, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
		_, _ = w.Write([]byte(a.Text)) // the caller may have gone
	}
}

// parity is what was found until now.
func (h *handler) parity() *Parity {
	p := &Parity{Project: h.Project, Origin: Live, Plan: h.Plan}
	if h.Checks != nil {
		status := h.Checks.Status()
		p.Status, p.Reports = &status, h.Checks.Reports()
	}
	return p
}

func (h *handler) overview(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	service, query := q.Get("service"), q.Get("q")
	number, err := strconv.Atoi(q.Get("page"))
	if q.Has("page") && err != nil || len(query) > maxQuery {
		h.fail(w, http.StatusBadRequest, "The address is not one of a page.")
		return
	}
	if service != "" && !hasService(h.Plan, service) {
		h.fail(w, http.StatusNotFound, "The project has no such service.")
		return
	}
	out := h.parity().overview(service)
	out.features(query, number, pageRows)
	h.show(w, out)
}

func hasService(p *plan.Plan, name string) bool {
	for _, s := range p.Services {
		if s.Name == name {
			return true
		}
	}
	return false
}

// find is the difference that a request is about, as the only one of a page; nil if there is none, which is then answered.
func (h *handler) find(w http.ResponseWriter, r *http.Request) *page {
	p, id := h.parity(), r.PathValue("id")
	report, e := p.Find(id)
	if e == nil {
		h.fail(w, http.StatusNotFound, "This difference is not among the newest any more, or the server was started again. unskew parity --served finds what was recorded.")
		return nil
	}
	d := p.difference(report, e)
	d.Live = h.Explain != nil && d.Command != ""
	return &page{Title: d.Feature, Project: p.Project, Origin: p.Origin, Status: p.Status, One: d}
}

func (h *handler) difference(w http.ResponseWriter, r *http.Request) {
	if out := h.find(w, r); out != nil {
		out.One.Explained = h.kept(out.One.ID)
		h.show(w, out)
	}
}

// kept is an explanation that was made before; nil if none is kept.
func (h *handler) kept(id string) *Explained {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x, ok := h.explained[id]; ok {
		return &x
	}
	return nil
}

func (h *handler) keep(id string, x Explained) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.explained[id]; !ok {
		h.order = append(h.order, id)
	}
	h.explained[id] = x
	if len(h.order) > mostExplained {
		delete(h.explained, h.order[0])
		h.order = h.order[1:]
	}
}

// events explains a difference. One is explained at a time, for the history is read for it.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	out := h.find(w, r)
	if out == nil {
		return
	}
	d := out.One
	if d.Explained = h.kept(d.ID); d.Explained == nil && d.Live {
		select {
		case h.busy <- struct{}{}:
			defer func() { <-h.busy }()
		default:
			h.fail(w, http.StatusServiceUnavailable, "Another difference is being explained; load this page again when it is done.")
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), explain.TimeLimit)
		defer cancel()
		x, err := h.Explain(ctx, d.Feature, d.RequestID, d.Row)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			d.Explained = &Explained{Failed: fmt.Sprintf("reading the history takes more than %v; the command below takes its time", explain.TimeLimit)}
		case err != nil:
			d.Explained = &Explained{Failed: err.Error()}
		default:
			d.Explained = &Explained{Explanation: x}
			h.keep(d.ID, *d.Explained)
		}
	}
	h.show(w, out)
}

// show answers with a page.
func (h *handler) show(w http.ResponseWriter, out *page) {
	out.Script, out.Style = asset{Path: h.script.Path}, asset{Path: h.style.Path}
	text, err := out.render("page")
	if err != nil {
		h.fail(w, http.StatusInternalServerError, "The page cannot be made.")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(text) // the caller may have gone
}

// fail answers with a page that has only a sentence.
func (h *handler) fail(w http.ResponseWriter, status int, text string) {
	out := &page{Title: http.StatusText(status), Project: h.Project, Style: asset{Path: h.style.Path}, Notes: []string{text}}
	body, err := out.render("failed")
	if err != nil {
		body = []byte(text)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may have gone
}
