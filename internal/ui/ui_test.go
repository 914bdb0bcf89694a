package ui

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/recompute"
)

var update = flag.Bool("update", false, "write testdata")

// must returns the page, or fails.
func (p *Parity) must(t testing.TB) string {
	t.Helper()
	text, err := p.HTML()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The page without its style and its script, as people review it.
func TestGolden(t *testing.T) {
	p := fixture(t)
	p.Notes = []string{"A note with <b>."}
	text := p.must(t)
	for _, asset := range []string{styleText, script} {
		text = strings.Replace(text, asset, "…", 1)
	}
	text = regexp.MustCompile(`sha256-.*?&#39;`).ReplaceAllString(text, "…")
	path := filepath.Join("testdata", "parity.html")
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != text {
		t.Errorf("the page is not that of %s (%v); look at the difference after go test ./internal/ui -update", path, err)
	}
}

// replayed is the fixture as a replay: one comparison, rows instead of requests.
func replayed(t testing.TB) *Parity {
	p := fixture(t)
	p.Origin = Replay
	for _, r := range p.Reports {
		r.Compute, r.Data = r.Data, recompute.Tally{}
		for i := range r.Examples {
			r.Examples[i].RequestID, r.Examples[i].Comparison, r.Examples[i].Cause, r.Examples[i].Events = "", "compute", recompute.Compute, nil
		}
	}
	p.Explained = nil
	return p
}

// Everything that a page can be, as text.
func pages(t testing.TB) map[string]string {
	empty := &Parity{Project: "empty", Origin: Served}
	out := map[string]string{"served": fixture(t).must(t), "replay": replayed(t).must(t), "empty": empty.must(t)}
	live := fixture(t)
	s := site(t, live, nil)
	r := live.Reports[0]
	for _, path := range []string{"/ui/", "/ui/?service=fraud_v1", "/ui/?q=spent", "/ui/?q=" + "nothing", "/ui/none", "/ui/differences/" + ID(r.Service, &r.Examples[1]), "/ui/differences/" + ID(r.Service, &r.Examples[1]) + "/events", "/ui/differences/" + ID(r.Service, &r.Examples[4])} {
		out[path] = s.get(path).Body.String()
	}
	return out
}

// void are the elements without an end.
var void = []string{"meta", "link", "br", "input"}

// Pages are well-formed; tables have captions and heads; what is linked is there; names are unique; nothing is loaded from elsewhere.
func TestPagesAreGoodHTML(t *testing.T) {
	for name, text := range pages(t) {
		t.Run(name, func(t *testing.T) {
			balanced(t, text)
			root, err := html.Parse(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			ids := map[string]int{}
			level := 0
			for n := range root.Descendants() {
				if id := attr(n, "id"); id != "" {
					ids[id]++
				}
				if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
					if now := int(n.Data[1] - '0'); now > level+1 {
						t.Errorf("a heading of level %d after one of %d", now, level)
					} else {
						level = now
					}
				}
			}
			for id, n := range ids {
				if n > 1 {
					t.Errorf("the id %s is there %d times", id, n)
				}
			}
			for n := range root.Descendants() {
				element(t, n, ids)
			}
		})
	}
}

// element checks one element.
func element(t *testing.T, n *html.Node, ids map[string]int) {
	if n.Type != html.ElementNode {
		return
	}
	for _, a := range n.Attr {
		switch {
		case strings.HasPrefix(a.Key, "on") || a.Key == "style":
			t.Errorf("%s has the attribute %s", n.Data, a.Key)
		case a.Key == "href" || a.Key == "src" || a.Key == "action":
			inside := strings.HasPrefix(a.Val, "/ui/") || a.Val == "data:,"
			if to, local := strings.CutPrefix(a.Val, "#"); local && ids[to] == 1 {
				inside = true
			}
			if !inside {
				t.Errorf("%s refers to %q", n.Data, a.Val)
			}
		case (a.Key == "aria-labelledby" || a.Key == "data-filter") && ids[a.Val] != 1:
			t.Errorf("%s has the %s %q, which is nowhere", n.Data, a.Key, a.Val)
		}
	}
	switch n.Data {
	case "table":
		if first := n.FirstChild; first == nil || first.Data != "caption" || strings.TrimSpace(textOf(first)) == "" {
			t.Errorf("a table has no caption: %.80s", textOf(n))
		}
	case "th":
		if attr(n, "scope") == "" {
			t.Errorf("the head %q has no scope", textOf(n))
		}
	case "svg":
		if attr(n, "aria-hidden") != "true" {
			t.Error("a picture is read to people though its text is beside it")
		}
	case "img", "iframe", "object":
		t.Errorf("there is an element %s", n.Data)
	case "input":
		for p := n.Parent; attr(n, "type") != "hidden"; p = p.Parent {
			if p == nil {
				t.Error("an input has no label")
				break
			}
			if p.Data == "label" {
				break
			}
		}
	}
}

// balanced checks that all elements end, in order.
func balanced(t *testing.T, text string) {
	t.Helper()
	var open []string
	z := html.NewTokenizer(strings.NewReader(text))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("elements without an end: %v", open)
			}
			return
		case html.StartTagToken:
			if name, _ := z.TagName(); !slices.Contains(void, string(name)) {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("%v ends with %s", open, name)
			}
			open = open[:len(open)-1]
		}
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// find are the elements of a page with a name.
func find(t testing.TB, text, name string) (out []*html.Node) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			out = append(out, n)
		}
	}
	return out
}

// Keys, ids and values of other people are text, also between script tags, and cannot hide or reorder what is around them.
func TestP17_TextsAreTexts(t *testing.T) {
	for name, text := range pages(t) {
		scripts := find(t, text, "script")
		if n := len(scripts); n > 2 {
			t.Errorf("%s: %d scripts", name, n)
		}
		for _, s := range scripts {
			if attr(s, "type") == "application/json" && !json.Valid([]byte(textOf(s))) {
				t.Errorf("%s: the data are no JSON: %s", name, textOf(s))
			}
		}
		for _, no := range []string{"<img", "alert(1)</script", "\u202e", "\x00", "\u2028"} {
			if strings.Contains(strings.Replace(text, script, "", 1), no) {
				t.Errorf("%s has %q", name, no)
			}
		}
	}
	p := fixture(t)
	p.Reports[0].Hours[0].From, p.Reports[0].Service, p.Reports[0].Features[0].Name, p.Project = hostile, hostile, hostile, hostile
	p.Reports[0].Examples[0].Cause, p.Reports[0].Examples[0].Served.Status, p.Reports[0].Examples[0].Served.Bits = hostile, hostile, hostile
	p.Notes = []string{hostile}
	text := p.must(t)
	scripts := find(t, text, "script")
	if len(scripts) != 2 || len(find(t, text, "img")) > 0 {
		t.Errorf("%d scripts", len(scripts))
	}
	var data struct{ Periods []struct{ From string } }
	if err := json.Unmarshal([]byte(textOf(scripts[0])), &data); err != nil || data.Periods[len(data.Periods)-1].From != hostile && data.Periods[0].From != hostile {
		t.Error(err, data)
	}
}

// A file says itself what may run: its own style and script, whose hashes it has.
func TestFilesHaveAPolicy(t *testing.T) {
	text := fixture(t).must(t)
	for _, m := range find(t, text, "meta") {
		if attr(m, "http-equiv") == "Content-Security-Policy" {
			want := "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src " + hashOf(textOf(find(t, text, "style")[0])) + "; script-src " + hashOf(textOf(find(t, text, "script")[1]))
			if got := attr(m, "content"); got != want {
				t.Errorf("the policy is %s, want %s", got, want)
			}
			return
		}
	}
	t.Error("there is no policy")
}

func TestBitsThatDifferAreMarked(t *testing.T) {
	a, b := cell(plan.DoubleValue(1), "PRESENT"), cell(plan.DoubleValue(1.5), "PRESENT")
	if got := bits(&a, &b); got != "<code>3ff<mark>0000000000000</mark></code>" {
		t.Error(got)
	}
	null := cell(plan.NullValue(), "DEFAULTED")
	if got := bits(&null, &a); got != "–" {
		t.Error(got)
	}
	if got := bits(&a, &a); got != "<code>3ff0000000000000</code>" {
		t.Error(got)
	}
}

// The texts of docs/parity.md have no Markdown left when they are shown.
func TestMeaningsAreShown(t *testing.T) {
	for _, m := range recompute.Meanings {
		for _, text := range []string{m.Happened, m.Decided, m.Do} {
			if got := string(words(text)); strings.ContainsAny(got, "`[]") {
				t.Error(got)
			}
		}
	}
	if got := words("see `a<b` or [the *log*](x.md#y) & more"); got != "see <code>a&lt;b</code> or the *log* &amp; more" {
		t.Error(got)
	}
}

// A file that cannot be written leaves nothing, one that was there is replaced as a whole.
func TestFilesAreWhole(t *testing.T) {
	p := &Parity{Project: "p", Origin: Served}
	dir := t.TempDir()
	if err := p.WriteFile(filepath.Join(dir, "none", "parity.html")); err == nil {
		t.Error("written into a folder that does not exist")
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteFile(filepath.Join(dir, "folder")); err == nil {
		t.Error("a folder was replaced")
	}
	path := filepath.Join(dir, "parity.html")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := p.must(t); err != nil || string(got) != want {
		t.Error(err, len(got))
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Error(err, left)
	}
}

// Wrong values are explained first, then one of each feature and cause, and only what an explanation can be had for.
func TestWhatIsExplained(t *testing.T) {
	p := fixture(t)
	r := p.Reports[0]
	twice := r.Examples[1]
	twice.RequestID = "another"
	r.Examples = slices.Insert(r.Examples, 2, twice)
	want := []string{ID(r.Service, &r.Examples[0]), ID(r.Service, &r.Examples[1]), ID(r.Service, &r.Examples[3]), ID(r.Service, &r.Examples[4]), ID(r.Service, &r.Examples[2])}
	if got := p.ToExplain(10); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := p.ToExplain(2); !slices.Equal(got, want[:2]) {
		t.Errorf("%v", got)
	}
}

// Pages about many features are bounded, and those of a server have them page by page.
func TestManyFeatures(t *testing.T) {
	p := manyFeatures(t, fileRows+1)
	text := p.must(t)
	if rows := bytes.Count([]byte(text), []byte("<tr><th scope=\"row\">f0")); rows != fileRows || !strings.Contains(text, fmt.Sprintf("The first %d of %d.", fileRows, fileRows+1)) {
		t.Errorf("%d rows", rows)
	}
}

func manyFeatures(t testing.TB, n int) *Parity {
	p := fixture(t)
	r := p.Reports[0]
	f := r.Features[1]
	p.Reports, r.Features = p.Reports[:1], nil
	for i := range n {
		f.Name = fmt.Sprintf("f%05d", i)
		r.Features = append(r.Features, f)
	}
	return p
}
