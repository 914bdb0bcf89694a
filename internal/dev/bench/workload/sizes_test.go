package workload

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/dev/bench"
	"github.com/unskew/unskew/internal/kernel"
)

var update = flag.Bool("update", false, "write the table of sizes into docs/formats/state.md")

const statePage = "../../../../docs/formats/state.md"

// The table of sizes in docs/formats/state.md is right.
func TestSizesAreThoseOfThePage(t *testing.T) {
	page, err := os.ReadFile(statePage)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "| features | 10 orders | 38 orders | 200 orders |\n| --- | --- | --- | --- |\n", "\n## Canonical values"
	head, rest, ok := strings.Cut(string(page), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("there is no table of sizes in %s", statePage)
	}
	four := []string{"count(%q)", "sum(amount, %q)", "mean(amount, %q)", "max(amount, %q)"}
	five := append(four[:4:4], "distinct_count(merchant, %q)")
	table := sizesLine(t, "5 of `count`", four[:1]) + sizesLine(t, "5 each of `count`, `sum`, `mean`, `max`", four) +
		sizesLine(t, "the same and 5 of `distinct_count`", five) + sizesLine(t, "the same and 5 of `latest`", append(five[:5:5], "latest(merchant, %q)"))
	want := []byte(head + begin + table + end + tail)
	if *update {
		err = os.WriteFile(statePage, want, 0o644)
	}
	if err != nil || !*update && !bytes.Equal(page, want) {
		t.Errorf("%v; the table of sizes is now\n%s", err, table)
	}
}

func sizesLine(t *testing.T, what string, features []string) string {
	var b strings.Builder
	b.WriteString(Definitions(0) + "---\nkind: FeatureView\nname: v\nentity: user\nsource: orders\nfeatures:\n")
	for i, f := range features {
		for w := range Windows {
			fmt.Fprintf(&b, "  f%d_%d: %s\n", i, w, fmt.Sprintf(f, Windows[w].Literal))
		}
	}
	v, err := bench.View(b.String(), "v")
	if err != nil {
		t.Fatal(err)
	}
	k, err := kernel.NewView(v)
	if err != nil {
		t.Fatal(err)
	}
	line := "| " + what
	for _, orders := range []int{10, 38, 200} {
		total := 0
		for _, list := range Orders(5, 200, orders) {
			s, sel := k.NewState(), make([]int32, len(list))
			for i := range sel {
				sel[i] = int32(i)
			}
			s.Apply(k.Eval(Events(v.Source, list)), sel, Now)
			total += len(s.Append(nil))
		}
		line += fmt.Sprintf(" | %d", total/200)
	}
	return line + " |\n"
}
