package offline

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/vector"
)

// TestW5_FoldsAreAsTheSpecificationSays: who is in which fold, worked out row by row from
// docs/semantics.md §8, is who is in the parts of that fold; and no row is in two parts of one.
func TestW5_FoldsAreAsTheSpecificationSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := make([]plan.EventTime, rapid.IntRange(0, 60).Draw(t, "rows"))
		held := vector.NewBitmap(len(at))
		for i := range at {
			at[i] = plan.EventTime(rapid.Int64Range(-30, 30).Draw(t, "at"))
			held.Put(i, rapid.IntRange(0, 9).Draw(t, "held") == 0)
		}
		h := labelHorizon{span: plan.Micros(rapid.Int64Range(0, 12).Draw(t, "horizon")), end: plan.Never}
		if rapid.Bool().Draw(t, "ends") {
			h.end = plan.EventTime(rapid.Int64Range(0, 30).Draw(t, "end"))
		}
		s := &plan.Split{Folds: rapid.IntRange(2, 5).Draw(t, "folds"), Embargo: plan.Micros(rapid.Int64Range(0, 5).Draw(t, "embargo")),
			Test: rapid.SampledFrom([]float64{0, 0.2, 0.5}).Draw(t, "test"), Holdout: &plan.Holdout{}}
		p := divide(at, held, h, s)
		span, embargo := plan.EventTime(h.span), plan.EventTime(s.Embargo)
		test := plan.Never
		if s.Test > 0 {
			test = p.boundaries[s.Folds]
		}
		for i, x := range at {
			part := p.of[i]
			young := x+span > h.end
			used := held.Get(i) && !young
			if want := used; (part == uint8(len(p.names)-1)) != want {
				t.Fatalf("row %d is in part %d, held out: %v", i, part, want)
			}
			for f, fold := range p.folds.list {
				b := p.boundaries[f]
				train := !held.Get(i) && !young && x+span < b
				validate := !held.Get(i) && !young && x >= b+embargo && (f+1 == s.Folds || x < p.boundaries[f+1]) && (test == plan.Never || x+span < test)
				if got := slices.Contains(fold.train, part); got != train {
					t.Fatalf("row %d at %d is in part %d; to train fold %d from %d on: %v, want %v", i, x, part, f+1, b, got, train)
				}
				if got := slices.Contains(fold.validation, part); got != validate {
					t.Fatalf("row %d at %d is in part %d; to validate fold %d from %d on: %v, want %v", i, x, part, f+1, b, got, validate)
				}
				used = used || train || validate
			}
			tested := !held.Get(i) && !young && test != plan.Never && x >= test+embargo
			if got := !isDropped(part) && p.names[part] == "test"; got != tested {
				t.Fatalf("row %d at %d is in the test: %v, want %v", i, x, got, tested)
			}
			if used = used || tested; isDropped(part) == used || (part == droppedAtEnd) != young {
				t.Fatalf("row %d at %d is used: %v, and in part %d", i, x, used, part)
			}
		}
	})
}

func TestFoldsShareOutRows(t *testing.T) {
	at := make([]plan.EventTime, 120)
	for i := range at {
		at[i] = plan.EventTime(i)
	}
	p := divide(at, nil, forever(0), &plan.Split{Folds: 4, Test: 1.0 / 6})
	if want := []plan.EventTime{20, 40, 60, 80, 100}; !slices.Equal(p.boundaries, want) || !slices.Equal(p.begin, []string{"fold 1", "fold 2", "fold 3", "fold 4", "test"}) {
		t.Errorf("boundaries %v of %v", p.boundaries, p.begin)
	}
	if !slices.Equal(p.names, []string{"segment-01", "segment-02", "segment-03", "segment-04", "segment-05", "test"}) {
		t.Errorf("parts %v", p.names)
	}
}

const foldedSplit = "split: {folds: 3, test: 0.2, embargo: 1d, label_horizon: 2d, holdout: {entity: user, fraction: 0.3, seed: s}}"

// TestFoldsInFiles: the manifest says which files are in which fold, by SQL their rows are those
// of the specification, and a held-out entity is in the holdout alone.
func TestFoldsInFiles(t *testing.T) {
	p, c := newDescribed(t)
	text := strings.Replace(described, "split: {train: 0.7, test: 0.3, embargo: 1d}", foldedSplit, 1)
	c.Set, _ = p.define(t, text).TrainingSet("set")
	m := p.train(t, c)
	if len(m.Split.Folds) != 3 || len(m.Warnings) > 0 {
		t.Fatalf("%+v, %q", m.Split, m.Warnings)
	}
	test := m.Split.Boundaries[3].From
	var heldOut []string
	for user := range int64(60) {
		sum := sha256.Sum256(entitykey.Append([]byte("s\x00"), plan.IntValue(user)))
		if float64(binary.BigEndian.Uint64(sum[:])) < 0.3*(1<<64) {
			heldOut = append(heldOut, fmt.Sprint(user))
		}
	}
	among := "(" + strings.Join(heldOut, ", ") + ")"
	expect := func(what string, files []string, rows int64, where string) {
		t.Helper()
		for i := range files {
			files[i] = "'out/" + files[i] + "'"
		}
		list := "[" + strings.Join(files, ", ") + "]"
		const columns = `user_id, "at", y`
		want := fmt.Sprintf("SELECT %s FROM 'spine.parquet' WHERE %s", columns, where)
		got := fmt.Sprintf("SELECT %s FROM read_parquet(%s)", columns, list)
		sql := fmt.Sprintf("SELECT (SELECT count(*) FROM (%[1]s)), (SELECT count(*) FROM (%[1]s EXCEPT ALL %[2]s)), (SELECT count(*) FROM (%[2]s EXCEPT ALL %[1]s))", got, want)
		if answer := p.ask(t, sql)[0]; answer != fmt.Sprintf("%d 0 0", rows) || rows == 0 {
			t.Errorf("%s: %s, the manifest says %d rows", what, answer, rows)
		}
	}
	for i, f := range m.Split.Folds {
		until := test
		if i+1 < len(m.Split.Folds) {
			until = m.Split.Folds[i+1].From
		}
		expect(fmt.Sprint("train ", f.Fold), f.Train.Files, f.Train.Rows, fmt.Sprintf(`"at" + INTERVAL 2 DAY < '%s' AND user_id NOT IN %s`, f.From, among))
		expect(fmt.Sprint("validate ", f.Fold), f.Validation.Files, f.Validation.Rows,
			fmt.Sprintf(`"at" >= '%s'::TIMESTAMPTZ + INTERVAL 1 DAY AND "at" < '%s' AND "at" + INTERVAL 2 DAY < '%s' AND user_id NOT IN %s`, f.From, until, test, among))
	}
	last := m.Files[len(m.Files)-1]
	expect("holdout", []string{last.Name}, last.Rows, "user_id IN "+among)
	expect("test", []string{"test.parquet"}, m.Files[len(m.Files)-2].Rows, fmt.Sprintf(`"at" >= '%s'::TIMESTAMPTZ + INTERVAL 1 DAY AND user_id NOT IN %s`, test, among))
	rows := int64(0)
	for _, f := range m.Files {
		rows += f.Rows
	}
	for _, d := range m.Split.Dropped {
		rows += d.Rows
	}
	if rows != m.Spine.Rows || m.Split.Holdout.Entity != "user" || fmt.Sprint(m.Split.Holdout.Keys) != "[[user_id]]" {
		t.Errorf("%d of %d rows, holdout %+v", rows, m.Spine.Rows, m.Split.Holdout)
	}
}

// TestHeldOutInAnyRole: a row is held out if an entity is that it names in any role, and one without
// a key is not.
func TestHeldOutInAnyRole(t *testing.T) {
	p, set := newShop(t, 100, 1000)
	set.Split = &plan.Split{Train: 1, Holdout: &plan.Holdout{Entity: "user", Fraction: 0.2, Seed: "3"}}
	set.Spine.SQL = "SELECT * REPLACE (CASE WHEN user_id > 3 THEN user_id END AS user_id) FROM 'spine.parquet'"
	set.Spine.From = ""
	m := p.train(t, p.config(set))
	sql := `WITH held AS (SELECT DISTINCT user_id AS id FROM 'out/holdout.parquet' WHERE user_id NOT IN (SELECT user_id FROM 'out/train.parquet' WHERE user_id IS NOT NULL)
			UNION SELECT DISTINCT to_id FROM 'out/holdout.parquet' WHERE to_id NOT IN (SELECT to_id FROM 'out/train.parquet'))
		SELECT (SELECT count(*) > 0 FROM held), (SELECT count(*) FROM 'out/train.parquet' WHERE user_id IN (FROM held) OR to_id IN (FROM held)),
			(SELECT count(*) FROM 'out/holdout.parquet' WHERE user_id NOT IN (FROM held) AND to_id NOT IN (FROM held)), (SELECT count(*) > 0 FROM 'out/train.parquet' WHERE user_id IS NULL)`
	if got := p.ask(t, sql)[0]; got != "true 0 0 true" {
		t.Errorf("%s; rows %d and %d, keys %v", got, m.Files[0].Rows, m.Files[1].Rows, m.Split.Holdout.Keys)
	}
}

func TestFoldsWithoutRows(t *testing.T) {
	p, c := newDescribed(t)
	text := strings.Replace(described, "split: {train: 0.7, test: 0.3, embargo: 1d}", "split: {folds: 3, label_horizon: 20d, holdout: {entity: user, fraction: 0.001}}", 1)
	c.Set, _ = p.define(t, text).TrainingSet("set")
	m := p.train(t, c)
	if len(m.Warnings) != 2 || !strings.HasPrefix(m.Warnings[0], "holdout.parquet is empty: none of the few entities user fell into the holdout") || !strings.Contains(m.Warnings[1], "fold 1, from ") {
		t.Errorf("%q", m.Warnings)
	}
}
