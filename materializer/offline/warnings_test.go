package offline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const fraud = `
kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: tx
from: tx.parquet
event_time: ts
---
kind: FeatureView
name: v
entity: user
source: tx
features: {n: 'count("7d")'}
---
kind: FeatureService
name: svc
features: [v]
---
kind: TrainingSet
name: set
service: svc
spine: {from: spine.parquet, time: at, label: y, label_known_at: known}
split: {train: 0.7, validation: 0.15, test: 0.15%s}
`

// fraudSpine has a row each 32 minutes for 89 days, one in ten with y = 1.
const fraudSpine = `SELECT i %% 50 AS user_id, "at", (i %% 10 = 0)::INTEGER AS y, "at" + %s AS known
	FROM (SELECT i, TIMESTAMPTZ '2025-01-01' + to_minutes(32 * i) AS "at" FROM range(4000) t(i))`

const (
	quickFraud = `INTERVAL (CASE WHEN i % 10 = 0 THEN 3 ELSE 30 END) DAY` // fraud is known sooner than its absence
	events     = `SELECT i % 50 AS user_id, TIMESTAMPTZ '2025-01-01' + to_minutes(32 * i) AS ts FROM range(4000) t(i)`
)

// TestW6_NoPartIsOfOneKind: positives are known after 3 days and negatives after 30, and
// each part has a tenth of positives, as the spine has everywhere.
func TestW6_NoPartIsOfOneKind(t *testing.T) {
	p := newProject(t)
	p.copyTo(t, "tx.parquet", events)
	for _, tc := range []struct{ name, delay, where, split string }{
		{"measured", quickFraud, "true", ""},
		{"declared", quickFraud, "true", ", label_horizon: 30d"},
		{"the other class is quick", `INTERVAL (CASE WHEN i % 10 = 0 THEN 20 ELSE 1 END) DAY`, "true", ""},
		{"rows without a label are not there yet", quickFraud, "known < TIMESTAMPTZ '2025-04-20'", ""},
		{"with an embargo", quickFraud, "true", ", embargo: 2d"},
	} {
		p.copyTo(t, "spine.parquet", fmt.Sprintf("SELECT * FROM ("+fraudSpine+") WHERE "+tc.where, tc.delay))
		set, _ := p.define(t, fmt.Sprintf(fraud, tc.split)).TrainingSet("set")
		m := p.train(t, p.config(set))
		total := int64(0)
		for _, f := range m.Files {
			total += f.Rows
			if share := float64(f.Labels.ByLabel["1"]) / float64(f.Rows); f.Rows < 30 || share < 0.08 || share > 0.12 {
				t.Errorf("%s: %s has %d rows, %v", tc.name, f.Name, f.Rows, f.Labels)
			}
			want := fmt.Sprintf("%d %d", f.Labels.ByLabel["1"], f.LabelsKnownLate)
			if got := p.ask(t, "SELECT count(*) FILTER (y = 1), 0 FROM 'out/"+f.Name+"'"); got[0] != want {
				t.Errorf("%s: %s has %s, its manifest says %s", tc.name, f.Name, got[0], want)
			}
		}
		for _, d := range m.Split.Dropped {
			total += d.Rows
		}
		if total != m.Spine.Rows || len(m.Warnings) > 0 {
			t.Errorf("%s: %d rows of %d, warnings %q", tc.name, total, m.Spine.Rows, m.Warnings)
		}
	}
}

// TestWarnings: what is seldom meant is said, and refused if that is wanted, which leaves
// the directory as it was.
func TestWarnings(t *testing.T) {
	p := newProject(t)
	for _, tc := range []struct{ name, events, spine, split, want string }{
		{"none", events, fmt.Sprintf(fraudSpine, quickFraud), "", ""},
		{"a short horizon", events, fmt.Sprintf(fraudSpine, quickFraud), ", label_horizon: 5d",
			"label_horizon: 5d is shorter than labels take: 100 % of the rows with y = 0 took longer, up to 30d; a model may look better than it is"},
		{"one class has no times", events, fmt.Sprintf(fraudSpine, `CASE WHEN i % 10 = 0 THEN INTERVAL 3 DAY END`), "",
			"known is null on 100 % of the rows with y = 0, so the label horizon of 3d is measured without them; declare label_horizon: in split:"},
		{"one class has no times, and need not", events, fmt.Sprintf(fraudSpine, `CASE WHEN i % 10 = 0 THEN INTERVAL 3 DAY END`), ", label_horizon: 7d", ""},
		{"labels do not fit into the data", events, fmt.Sprintf(fraudSpine, `INTERVAL 60 DAY`), "",
			"validation.parquet is empty: a split with an embargo of 0d and a label horizon of 60d leaves no row for it; the spine spans 88d"},
		{"the rate changes", events, "SELECT * REPLACE (CASE WHEN \"at\" > TIMESTAMPTZ '2025-03-10' THEN 1 ELSE y END AS y) FROM (" + fmt.Sprintf(fraudSpine, `INTERVAL 1 DAY`) + ")", "",
			"y = 1 on 10 % of train.parquet and on 57.2 % of validation.parquet (z = 26.8): the rate changes at the boundary; check that labels are complete and that the spine selects the same kind of rows on both sides\n" +
				"y = 1 on 57.2 % of validation.parquet and on 100 % of test.parquet (z = 17.9): the rate changes at the boundary; check that labels are complete and that the spine selects the same kind of rows on both sides"},
		{"no key is one", "SELECT * REPLACE (user_id + 1000 AS user_id) FROM (" + events + ")", fmt.Sprintf(fraudSpine, quickFraud), "",
			"view v: 0 of 1300 rows have an event; check that the spine and the events of source tx write user_id alike"},
		{"before the data", "SELECT * REPLACE (ts + INTERVAL 1 YEAR AS ts) FROM (" + events + ")", fmt.Sprintf(fraudSpine, quickFraud), "",
			"view v: no row has an event: the spine ends at 2025-03-30T20:48:00Z, before the events of source tx begin at 2026-01-01T00:00:00Z"},
		{"after the data", "SELECT * REPLACE (ts - INTERVAL 1 YEAR AS ts) FROM (" + events + ")", fmt.Sprintf(fraudSpine, quickFraud), "",
			"view v: on 1300 of 1300 rows every window begins after the last event of source tx, which is at 2024-03-30T20:48:00Z; the spine runs from 2025-01-01T00:00:00Z to 2025-03-30T20:48:00Z"},
		{"no event", events + " LIMIT 0", fmt.Sprintf(fraudSpine, quickFraud), "", "source tx has no event"},
		{"no row", events, fmt.Sprintf(fraudSpine, quickFraud) + " LIMIT 0", "",
			"train.parquet is empty because the spine is empty\nvalidation.parquet is empty because the spine is empty\ntest.parquet is empty because the spine is empty"},
	} {
		p.copyTo(t, "tx.parquet", tc.events)
		p.copyTo(t, "spine.parquet", tc.spine)
		set, _ := p.define(t, fmt.Sprintf(fraud, tc.split)).TrainingSet("set")
		m := p.train(t, p.config(set))
		if got := strings.Join(m.Warnings, "\n"); got != tc.want {
			t.Errorf("%s:\n%s\nwant\n%s", tc.name, got, tc.want)
		}
		before := p.listing(t)
		c := p.config(set)
		c.Strict = true
		_, err := Train(context.Background(), c)
		strict := (*StrictError)(nil)
		if errors.As(err, &strict) != (tc.want != "") || err != nil && strict == nil {
			t.Errorf("%s: strictly, it is %v", tc.name, err)
		}
		if strict != nil && len(strict.Manifest.Warnings) != len(m.Warnings) {
			t.Errorf("%s: strictly, the warnings are %q", tc.name, strict.Manifest.Warnings)
		}
		if after := p.listing(t); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("%s: strictly, the directory changed from %v to %v", tc.name, before, after)
		}
	}
}

// TestLabelsThatSayNothing: null, too many or of no type that features have, and spines
// without rows or without a label. They make no difference to the files.
func TestLabelsThatSayNothing(t *testing.T) {
	p := newProject(t)
	p.copyTo(t, "tx.parquet", events)
	split := strings.Replace(fraud, ", label_known_at: known", "", 1)
	for _, tc := range []struct{ name, label, where, defs, want string }{
		{"null", "NULL::INTEGER", "true", split, "600 rows by map[], 600 without"},
		{"strings", "'order ' || user_id || \"at\"", "true", split, "600 rows by map[any:600], 0 without"},
		{"numbers", "epoch(\"at\") / 60", "true", split, "600 rows by map[over 28992128 to 29024128:200 over 29024128:400], 0 without"},
		{"lists", "[user_id]", "true", split, "nothing"},
		{"no rows", "y", "false", split, "0 rows by map[], 0 without"},
		{"no label", "y", "true", strings.Replace(split, ", label: y", "", 1), "nothing"},
	} {
		p.copyTo(t, "spine.parquet", fmt.Sprintf("SELECT user_id, \"at\", "+tc.label+" AS y FROM ("+fraudSpine+") WHERE "+tc.where, "INTERVAL 1 DAY"))
		set, _ := p.define(t, fmt.Sprintf(tc.defs, "")).TrainingSet("set")
		f := p.train(t, p.config(set)).Files[1]
		got := "nothing"
		if l := f.Labels; l != nil {
			got = fmt.Sprintf("%d rows by %v, %d without", l.Rows, l.ByLabel, l.Unlabelled)
		}
		if got != tc.want {
			t.Errorf("%s: %s counts %s, want %s", tc.name, f.Name, got, tc.want)
		}
	}
}

// TestRateThatMoves: what counts is more than chance and more than a little.
func TestRateThatMoves(t *testing.T) {
	for _, tc := range []struct {
		x, n, y, m int64
		moves      bool
	}{
		{100, 1000, 100, 1000, false},
		{100, 1000, 130, 1000, false},             // by chance
		{100, 1000, 200, 1000, true},              // doubled
		{10_000, 100_000, 11_000, 100_000, false}, // not by chance, and a little
		{60_000, 100_000, 66_000, 100_000, true},  // six points in a hundred
		{20, 10_000, 100, 10_000, true},           // rare, and five times as often
		{0, 1000, 1000, 1000, true},
		{1000, 1000, 1000, 1000, false},
		{0, 1000, 0, 10, false},
		{0, 0, 10, 10, false},
	} {
		if z := moves(tc.x, tc.n, tc.y, tc.m); (z > 0) != tc.moves {
			t.Errorf("from %d of %d to %d of %d: z %v", tc.x, tc.n, tc.y, tc.m, z)
		}
	}
}
