package featuredefs_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
)

// identity is the project whose fingerprints the tests of this file compare.
const identity = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: transactions
from: data/*.parquet
event_time: ts
known_at: ingested_at
event_id: txn_id
columns:
  user_id: {type: int}
  ts: {type: timestamp}
  ingested_at: {type: timestamp}
  txn_id: {type: string}
  amount: {type: double}
  qty: {type: int}
  late: {type: double, known_at: {delay: 1h}}
---
kind: FeatureView
name: spend
entity: user
source: transactions
where: qty > 0
let: {big: amount > 100.0}
features:
  f: sum(amount * 2.0 + late, "7d/1h").where(big)
  g: {expr: 'mean(amount, "30d")', default: 0.5}
  h: '[1, 2].map(x, x * qty_sum).size() > 1 && f > 1.0'
  qty_sum: sum(qty)
  kinds: distinct_count(txn_id).cap(20000)
---
kind: FeatureService
name: s
features: [spend]
request: {amount: double}
derived: {r: request.amount / spend.g}
`

func loadText(t *testing.T, text string) *plan.Plan {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: p\n")
	writeFile(t, filepath.Join(dir, "features", "a.yaml"), text)
	return loadClean(t, dir, featuredefs.Options{}).Plan
}

// prints are the fingerprints of a plan by name.
func prints(p *plan.Plan) map[string]plan.Fingerprint {
	m := map[string]plan.Fingerprint{}
	for _, v := range p.Views {
		for _, f := range v.Features {
			m[f.Name] = f.Fingerprint
		}
	}
	for _, s := range p.Services {
		for _, d := range s.Derived {
			m[d.Name] = d.Fingerprint
		}
		m["service"] = s.Fingerprint
	}
	return m
}

func replaced(t *testing.T, old, new string) string {
	t.Helper()
	if strings.Count(identity, old) != 1 {
		t.Fatalf("%q occurs %d times in the project", old, strings.Count(identity, old))
	}
	return strings.Replace(identity, old, new, 1)
}

func TestFingerprint_Invariant(t *testing.T) {
	want := prints(loadText(t, identity))
	for _, c := range []struct{ name, old, new string }{
		{"comment", "features:\n  f:", "# comment\nfeatures: # why\n  f:"},
		{"place of the data", "data/*.parquet", "s3://bucket/*.parquet"},
		{"how the rows of its files lie", "from: data/*.parquet", "from: data/*.csv\ncsv: {delimiter: ;, null: NA}"},
		{"description", "name: spend\n", "name: spend\nowner: a\ntags: [b]\ndescription: c\n"},
		{"long form", "qty_sum: sum(qty)", "qty_sum:\n    description: d\n    expr: >-\n      sum(\n        qty)"},
		{"formatting", "sum(amount * 2.0 + late, \"7d/1h\").where(big)", "'sum( ( amount*2.00 )+late,''7d/1h'' ) . where( (big) )'"},
		{"loop variable", "map(x, x * qty_sum)", "map(y, y * qty_sum)"},
		{"loop variable with the name of a feature", "map(x, x * qty_sum)", "map(f, f * qty_sum)"},
		{"loop variable with the name of a column", "map(x, x * qty_sum)", "map(late, late * qty_sum)"},
		{"let written out", ".where(big)", ".where(amount > 100.0)"},
		{"let renamed", "let: {big: amount > 100.0}\nfeatures:\n  f: sum(amount * 2.0 + late, \"7d/1h\").where(big)",
			"let: {large: amount > 100.0}\nfeatures:\n  f: sum(amount * 2.0 + late, \"7d/1h\").where(large)"},
		{"hop written out", `"30d"`, `"30d/6h"`},
		{"unit of the window", `"7d/1h"`, `"168h/60m"`},
		{"unused let", "let: {", "let: {other: qty > 5, "},
		{"key order", "event_time: ts\nknown_at: ingested_at", "known_at: ingested_at\nevent_time: ts"},
		{"another column", "  qty: {type: int}\n", "  qty: {type: int}\n  unused: {type: string}\n"},
		{"description of the service", "derived: {r", "description: x\nderived: {r"},
		{"notation of the default", "default: 0.5", "default: 5.0e-1"},
		{"its own name as the field", "  amount: {type: double}", "  amount: {type: double, field: amount}"},
		{"max_ahead", "event_id: txn_id", "event_id: txn_id\nmax_ahead: 2h\nbad_rows: skip"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, fp := range prints(loadText(t, replaced(t, c.old, c.new))) {
				if fp != want[name] {
					t.Errorf("%s changed its fingerprint", name)
				}
			}
		})
	}
}

func TestFingerprint_OrderOfFeatures(t *testing.T) {
	want := prints(loadText(t, identity))
	delete(want, "service") // lists its outputs in order
	moved := replaced(t, "  qty_sum: sum(qty)\n", "")
	moved = strings.Replace(moved, "features:\n  f:", "features:\n  qty_sum: sum(qty)\n  f:", 1)
	got := prints(loadText(t, moved))
	for name, fp := range want {
		if got[name] != fp {
			t.Errorf("%s changed its fingerprint", name)
		}
	}
}

func TestFingerprint_FileNames(t *testing.T) {
	want := prints(loadText(t, identity))
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: q\n")
	for i, doc := range strings.Split(identity, "---\n") {
		writeFile(t, filepath.Join(dir, "features", string(rune('z'-i)), "x.yml"), doc)
	}
	for name, fp := range prints(loadClean(t, dir, featuredefs.Options{}).Plan) {
		if fp != want[name] {
			t.Errorf("%s changed its fingerprint", name)
		}
	}
}

func TestFingerprint_Sensitive(t *testing.T) {
	base := prints(loadText(t, identity))
	for _, c := range []struct{ name, old, new, changed string }{
		{"window", `"7d/1h"`, `"14d/1h"`, "f h service"},
		{"hop", `"7d/1h"`, `"7d/2h"`, "f h service"},
		{"filter", ".where(big)", ".where(!big)", "f h service"},
		{"let", "big: amount > 100.0", "big: amount > 101.0", "f h service"},
		{"view filter", "where: qty > 0", "where: qty > 1", "f g h kinds qty_sum r service"},
		{"no view filter", "where: qty > 0\n", "", "f g h kinds qty_sum r service"},
		{"argument", "amount * 2.0 + late", "amount * 2.5 + late", "f h service"},
		{"sign of a zero", "amount * 2.0 + late", "amount * 2.0 + late + -0.0", "f h service"},
		{"type of the argument", "qty_sum: sum(qty)", "qty_sum: sum(qty * 1)", "qty_sum h service"},
		{"default", "default: 0.5", "default: 0.25", "g r service"},
		{"cap", "cap(20000)", "cap(20001)", "kinds service"},
		{"no cap", ".cap(20000)", "", "kinds service"},
		{"on error", "default: 0.5", "default: 0.5, on_error: default", "g r service"},
		{"known time", "known_at: ingested_at", "known_at: {delay: 5m}", "f g h kinds qty_sum r service"},
		{"known time of a column", "{delay: 1h}", "{delay: 2h}", "f h service"},
		{"event id", "event_id: txn_id\n", "", "f g h kinds qty_sum r service"},
		{"sql", "from: data/*.parquet", "sql: SELECT * FROM x", "f g h kinds qty_sum r service"},
		{"key column", "name: spend\n", "name: spend\nkeys: {user_id: qty}\n", "f g h kinds qty_sum r service"},
		{"expression of a sibling's reader", "f > 1.0", "f > 2.0", "h service"},
		{"field of a column", "  amount: {type: double}", "  amount: {type: double, field: payment.amount}", "f g h r service"},
		{"field of a key", "  user_id: {type: int}", "  user_id: {type: int, field: user.id}", "f g h kinds qty_sum r service"},
		{"field of the event time", "  ts: {type: timestamp}", "  ts: {type: timestamp, field: meta.ts}", "f g h kinds qty_sum r service"},
		{"field of the event id", "  txn_id: {type: string}", "  txn_id: {type: string, field: meta.id}", "f g h kinds qty_sum r service"},
		{"field of the known time", "  ingested_at: {type: timestamp}", "  ingested_at: {type: timestamp, field: meta.at}", "f g h kinds qty_sum r service"},
		{"request", "request: {amount: double}", "request: {amount: double, x: int}", "service"},
		{"derived", "request.amount / spend.g", "spend.g / request.amount", "r service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := prints(loadText(t, replaced(t, c.old, c.new)))
			for name, fp := range base {
				changed := false
				for _, n := range strings.Fields(c.changed) {
					changed = changed || n == name
				}
				if (got[name] != fp) != changed {
					t.Errorf("%s: changed %v, want %v", name, got[name] != fp, changed)
				}
			}
		})
	}
}

func TestFingerprint_CapsAreOfSlots(t *testing.T) {
	of := func(kinds string) plan.Fingerprint {
		return prints(loadText(t, replaced(t, "distinct_count(txn_id).cap(20000)", kinds)))["kinds"]
	}
	if of("distinct_count(txn_id)") != of("distinct_count(txn_id).cap(10000)") {
		t.Error("the cap without .cap is not 10,000")
	}
	if of("distinct_count(txn_id).cap(5).where(big)") != of("distinct_count(txn_id).where(big).cap(5)") {
		t.Error("the order of .cap and .where changes the fingerprint")
	}
}

func TestFingerprint_KeyType(t *testing.T) {
	text := strings.NewReplacer("{name: user_id, type: int}", "{name: user_id, type: string}", "user_id: {type: int}", "user_id: {type: string}").Replace(identity)
	base, got := prints(loadText(t, identity)), prints(loadText(t, text))
	for name, fp := range base {
		if got[name] == fp {
			t.Errorf("%s kept its fingerprint with another key type", name)
		}
	}
}

func TestFingerprint_ColumnType(t *testing.T) {
	text := strings.NewReplacer("qty: {type: int}", "qty: {type: double}", "where: qty > 0", "where: qty > 0.0", "x * qty_sum", "double(x) * qty_sum").Replace(identity)
	if prints(loadText(t, identity))["qty_sum"] == prints(loadText(t, text))["qty_sum"] {
		t.Error("sum of doubles has the fingerprint of a sum of ints")
	}
}

// TestC3_FingerprintsAreOfTrees: the text of -(-qty) is --qty to CEL's unparser, and
// --qty is qty to its parser; negating twice may overflow, so they are not the same.
func TestC3_FingerprintsAreOfTrees(t *testing.T) {
	of := func(argument string) plan.Fingerprint {
		return prints(loadText(t, replaced(t, "qty_sum: sum(qty)", "qty_sum: sum("+argument+")")))["qty_sum"]
	}
	if of("-(-qty)") == of("--qty") {
		t.Error("-(-qty) and --qty have the same fingerprint")
	}
	if of("--qty") != of("qty") {
		t.Error("--qty and qty have different fingerprints")
	}
}
