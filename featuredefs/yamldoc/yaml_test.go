package yamldoc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/diag"
)

// outline writes a node with the positions of its parts.
func outline(n *Node) string {
	switch n.Kind {
	case Sequence:
		var parts []string
		for _, i := range n.Items {
			parts = append(parts, outline(i))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case Mapping:
		var parts []string
		for _, e := range n.Entries {
			parts = append(parts, outline(e.Key)+"="+outline(e.Value))
		}
		return "{" + strings.Join(parts, " ") + "}"
	}
	return fmt.Sprintf("%s@%d:%d", n.Text, n.Pos.Line, n.Pos.Col)
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"mapping", "a: 1\nb:\n  - x\n  -   'y'\n", "{a@1:1=1@1:4 b@2:1=[x@3:5 y@4:7]}"},
		{"flow", "{ü: [1, {b: }], 'c': d}\n", "{ü@1:2=[1@1:6 {b@1:10=@1:10}] c@1:17=d@1:22}"},
		{"absent values", "a:\nb: ~\nc:\n- \n- 1\n", "{a@1:1=@1:1 b@2:1=~@2:4 c@3:1=[@4:2 1@5:3]}"},
		{"explicit keys", "? a\n: 1\n", "{a@1:3=1@2:3}"},
		{"anchor and alias", "a: &x {b: 1}\nc: *x\nd: &y 2\ne: [*y]\n", "{a@1:1={b@1:8=1@1:11} c@2:1={b@1:8=1@1:11} d@3:1=2@3:7 e@4:1=[2@3:7]}"},
		{"merge", "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n", "{a@1:1={b@1:8=1@1:11 c@1:14=2@1:17} d@2:1={c@4:3=3@4:6 b@1:8=1@1:11}}"},
		{"merge of several", "a: &x {b: 1}\nc: &y {b: 2, d: 3}\ne: {<<: [*x, *y]}\n", "{a@1:1={b@1:8=1@1:11} c@2:1={b@2:8=2@2:11 d@2:14=3@2:17} e@3:1={b@1:8=1@1:11 d@2:14=3@2:17}}"},
		{"windows line ends and a mark", "\ufeffa: 1\r\nb: |\r\n  x\r\n", "{a@1:1=1@1:4 b@2:1=x\n@2:4}"},
		{"comments", "# one\na: 1 # two\n# three\nb: 2\n", "{a@2:1=1@2:4 b@4:1=2@4:4}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFile("a.yaml", []byte(c.text))
			r := &diag.Reporter{}
			n := parseDocument(r, f.documents()[0])
			if n == nil {
				t.Fatal(r.Found)
			}
			if got := outline(n); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestDocuments(t *testing.T) {
	f := newFile("a.yaml", []byte("# head\n---\na: 1\n---  # next\n\nb: |\n  ---\n  x\n...\n--- {c: 2}\n---\n# nothing\n"))
	r := &diag.Reporter{}
	var got []string
	for _, d := range f.documents() {
		n := parseDocument(r, d)
		if n == nil {
			t.Fatal(r.Found)
		}
		got = append(got, outline(n))
	}
	if want := "{a@3:1=1@3:4} {b@6:1=---\nx\n@6:4} {c@10:6=2@10:9}"; strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

func TestParse_Refuses(t *testing.T) {
	for _, text := range []string{
		"a: *x\n", "a: !!set {b}\n", "a: !!str [1]\n", "<<: 1\n", "? [a]\n: b\n", "a: [1\n", "a: 'b\n", "a: b: c\n",
	} {
		f := newFile("a.yaml", []byte(text))
		r := &diag.Reporter{}
		if n := parseDocument(r, f.documents()[0]); n != nil || r.Errors == 0 {
			t.Errorf("%q: %d errors", text, r.Errors)
		}
	}
}
