package ui

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"html/template"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/webpage"
)

//go:embed parity.gohtml
var source string

//go:embed web/style.css
var ownStyle string

// script is the bundle that make ui builds from web/page.js.
//
//go:embed web/bundle.js
var script string

// asset is a style sheet or a script: in the page, or at an address.
type asset struct {
	Text string // to be in the page
	Path string // or where it is
}

var styleText = webpage.Style + ownStyle

var templates = template.Must(template.New("parity").Funcs(template.FuncMap{
	"count": count, "short": func(s string) string { return s[:min(12, len(s))] }, "plain": visible, "value": value, "words": words, "sorted": sorted, "bar": bar,
	"bits": bits, "number": webpage.Number, "share": webpage.Share, "time": shownTime, "points": points,
	"css": func(s string) template.CSS { return template.CSS(s) }, "js": func(s string) template.JS { return template.JS(s) },
	"more": func(total int64, listed int) bool { return total > int64(listed) },
	"link": link, "add": func(a, b int) int { return a + b }, "statuses": statuses, "main": func(p *page, f featureRow) *recompute.Tally { return p.main(&f.Compute, &f.Data) },
	"mainOf": func(p *page, x recompute.Period) *recompute.Tally { return p.main(&x.Compute, &x.Data) },
}).Parse(source))

// HTML is a self-contained page: it needs no other file and loads nothing.
func (p *Parity) HTML() ([]byte, error) {
	out := p.overview("")
	out.features("", 1, fileRows)
	out.File, out.Style, out.Script = true, asset{Text: styleText}, asset{Text: script}
	out.Policy = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src " + hashOf(styleText) + "; script-src " + hashOf(script)
	return out.render("page")
}

// hashOf is how a policy names a text in a page.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (p *page) render(name string) ([]byte, error) {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name, p); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func count(n int64) string { return webpage.Count(n) }

// shownText is how many characters of a text from outside are shown.
const shownText = 300

// visible is a text from outside for people: cut if it is long, with the characters that cannot be seen, or that change the order of others,
// as escapes.
func visible(text string) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > shownText {
			b.WriteRune('…')
			break
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// value is a value with its status.
func value(c *recompute.Cell) string {
	if c == nil {
		return ""
	}
	text := visible(c.Value) + " (" + c.Status
	if c.Reason != "" {
		text += " for " + c.Reason
	}
	return text + ")"
}

// bits are the bits of a cell as HTML, in which what is not as in another cell is marked.
func bits(c, other *recompute.Cell) template.HTML {
	if c.Bits == "" {
		return "–"
	}
	same := 0
	for same < min(len(c.Bits), len(other.Bits)) && c.Bits[same] == other.Bits[same] {
		same++
	}
	text := "<code>" + html.EscapeString(c.Bits[:same])
	if same < len(c.Bits) {
		text += "<mark>" + html.EscapeString(c.Bits[same:]) + "</mark>"
	}
	return template.HTML(text + "</code>")
}

var inline = regexp.MustCompile("`([^`]*)`|\\[([^\\]]*)\\]\\([^)]*\\)")

// words are the little Markdown of recompute.Meaning as HTML: code, and of links the text, since the page stands alone.
func words(text string) template.HTML {
	var b strings.Builder
	from := 0
	for _, m := range inline.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(html.EscapeString(text[from:m[0]]))
		if m[2] >= 0 {
			b.WriteString("<code>" + html.EscapeString(text[m[2]:m[3]]) + "</code>")
		} else {
			b.WriteString(html.EscapeString(text[m[4]:m[5]]))
		}
		from = m[1]
	}
	b.WriteString(html.EscapeString(text[from:]))
	return template.HTML(b.String())
}

// shownTime is a time for people.
func shownTime(t string) string {
	return strings.TrimSuffix(strings.TrimSuffix(strings.Replace(t, "T", " ", 1), "Z"), " 00:00:00")
}

// segment is a part of a bar.
type segment struct {
	X, W float64
	causeCount
}

// barWidth is the width of a bar in a table, in units of its view box.
const barWidth = 120

// bar divides a bar by causes.
func bar(t *recompute.Tally) (out []segment) {
	x := 0.0
	for _, c := range sorted(t) {
		w := barWidth * float64(c.N) / float64(t.Different)
		out = append(out, segment{x, max(w-1, 0.5), c})
		x += w
	}
	return out
}

// points are the points of a sparkline of rates, in a box of 100 by 20, from the lowest rate at the bottom to 1 at the top; "" for fewer than two.
func points(p *page, days []recompute.Period) string {
	if len(days) < 2 {
		return ""
	}
	least := 1.0
	for i := range days {
		least = min(least, p.main(&days[i].Compute, &days[i].Data).Rate())
	}
	var out []string
	for i := range days {
		y := 2.0
		if least < 1 {
			y = 18 - 16*(p.main(&days[i].Compute, &days[i].Data).Rate()-least)/(1-least)
		}
		out = append(out, fmt.Sprintf("%.4g,%.4g", float64(i)*100/float64(len(days)-1), y))
	}
	return strings.Join(out, " ")
}

// statuses lists how statuses differ, the most frequent first.
func statuses(of map[string]int64) string {
	var parts []string
	for s, n := range of {
		parts = append(parts, fmt.Sprintf("%s %s", s, count(n)))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// link is the address of the overview with other choices.
func (p *page) link(service string, number int) string {
	q := url.Values{}
	if service != "" {
		q.Set("service", service)
	}
	if p.Pager.Query != "" {
		q.Set("q", p.Pager.Query)
	}
	if number > 1 {
		q.Set("page", strconv.Itoa(number))
	}
	if len(q) == 0 {
		return Path
	}
	return Path + "?" + q.Encode()
}

func link(p *page, service string, number int) string { return p.link(service, number) }

// Plot is what the plots show, for scripts.
func (p *page) Plot() any {
	type period struct {
		From     string                    `json:"from"`
		Compared int64                     `json:"compared"`
		Equal    float64                   `json:"equal"`
		Compute  *float64                  `json:"compute"` // nil: it is the only comparison, or nothing was
		Causes   map[recompute.Cause]int64 `json:"causes"`
	}
	out := struct {
		By      string            `json:"by"`
		Causes  []recompute.Cause `json:"causes"`
		Periods []period          `json:"periods"`
	}{By: p.By, Causes: []recompute.Cause{}, Periods: []period{}}
	for _, c := range p.Causes {
		out.Causes = append(out.Causes, c.Cause)
	}
	for i := range p.Periods {
		x := &p.Periods[i]
		t := p.main(&x.Compute, &x.Data)
		of := period{From: x.From, Compared: t.Compared, Equal: t.Rate(), Causes: map[recompute.Cause]int64{}}
		if p.Origin != Replay && x.Compute.Compared > 0 {
			rate := x.Compute.Rate()
			of.Compute = &rate
		}
		for c, n := range t.Causes {
			of.Causes[c] = n
		}
		out.Periods = append(out.Periods, of)
	}
	return out
}
