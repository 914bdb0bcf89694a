package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/unskew/unskew/internal/dev/bench"
)

// The project that is loaded. View recent has states of 45 kB, of which service states_v1 reads 8
// for each row; view wide has 2000 features.
const (
	lists       = 1000 // elements of the list in view recent
	roles       = 8    // of service states_v1
	wide        = 2000 // features of view wide
	wideUsers   = 50
	textBytes   = 36
	usersOfList = 256
)

// writeProject writes a project folder in which so many users have states of 45 kB.
func writeProject(dir string, users int) error {
	if err := bench.WriteFiles(dir, map[string]string{"unskew.yaml": "project: bounds\n", "features/bounds.yaml": definitions()}); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		return err
	}
	if err := writeEvents(filepath.Join(dir, "data/notes.csv"), users, lists); err != nil {
		return err
	}
	return writeEvents(filepath.Join(dir, "data/orders.csv"), wideUsers, 20)
}

func writeEvents(path string, users, each int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "id,at,user_id,amount,text")
	for e := range each {
		for u := range users {
			fmt.Fprintf(w, "%d-%d,2025-01-%02dT%02d:%02d:00Z,%d,%d.5,%0*d\n", u, e, 1+e/100%28, e%24, e%60, u, e%97, textBytes, e*users+u)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

func definitions() string {
	var b strings.Builder
	b.WriteString("kind: Entity\nname: user\nkeys: [{name: user_id, type: int}]\n")
	for _, source := range []string{"notes", "orders"} {
		fmt.Fprintf(&b, `---
kind: Source
name: %s
from: data/%[1]s.csv
stream: true
event_time: at
event_id: id
columns:
  id: {type: string}
  at: {type: timestamp}
  user_id: {type: int}
  amount: {type: double}
  text: {type: string}
`, source)
	}
	fmt.Fprintf(&b, "---\nkind: FeatureView\nname: recent\nentity: user\nsource: notes\nfeatures:\n  texts: latest_n(text, %d)\n  notes: count()\n", lists)
	b.WriteString("---\nkind: FeatureView\nname: wide\nentity: user\nsource: orders\nfeatures:\n")
	for i := range wide {
		fmt.Fprintf(&b, "  f%d: sum(amount + %d.0, \"%dh\")\n", i, i%7, 1+i/7)
	}
	b.WriteString("---\nkind: FeatureView\nname: small\nentity: user\nsource: orders\nfeatures:\n  orders: count()\n  spent: sum(amount, \"30d\")\n")
	for _, view := range []string{"recent", "wide", "small"} {
		fmt.Fprintf(&b, "---\nkind: FeatureService\nname: %s_v1\nfeatures: [%[1]s]\n", view)
	}
	b.WriteString("---\nkind: FeatureService\nname: states_v1\nfeatures:\n")
	for r := range roles {
		fmt.Fprintf(&b, "  - {view: recent, as: role%d, keys: {user_id: user%[1]d}}\n", r)
	}
	return b.String()
}
