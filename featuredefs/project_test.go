package featuredefs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
)

// inferred returns the columns that the data of the test projects would have.
func inferred(*plan.Source) ([]featuredefs.Column, error) {
	return columnsOf([]plan.Field{
		{Name: "user_id", Type: plan.T(plan.Int)},
		{Name: "merchant_id", Type: plan.T(plan.String)},
		{Name: "ts", Type: plan.T(plan.Timestamp)},
		{Name: "ingested_at", Type: plan.T(plan.Timestamp)},
		{Name: "chargeback_at", Type: plan.T(plan.Timestamp)},
		{Name: "txn_id", Type: plan.T(plan.String)},
		{Name: "amount", Type: plan.T(plan.Double)},
		{Name: "country", Type: plan.T(plan.String)},
		{Name: "status", Type: plan.T(plan.String)},
		{Name: "chargeback", Type: plan.T(plan.Bool)},
		{Name: "lines", Type: plan.ListOf(plan.T(plan.String))},
	}), nil
}

func columnsOf(fields []plan.Field) []featuredefs.Column {
	columns := make([]featuredefs.Column, len(fields))
	for i, f := range fields {
		columns[i].Field = f
	}
	return columns
}

// extract writes an archive, without its file "want", into a new folder.
func extract(t testing.TB, a *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range a.Files {
		if f.Name != "want" {
			writeFile(t, filepath.Join(dir, f.Name), string(f.Data))
		}
	}
	return dir
}

// loadClean loads a project that must have no diagnostics.
func loadClean(t testing.TB, dir string, opts featuredefs.Options) *featuredefs.Project {
	t.Helper()
	p, diagnostics, err := featuredefs.Load(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(diagnostics) > 0 {
		t.Fatalf("diagnostics:\n%s", render(t, diagnostics))
	}
	return p
}

// TestPlans compares the printed plans of testdata/plans with their file "want".
func TestPlans(t *testing.T) {
	paths, _ := filepath.Glob("testdata/plans/*.txtar")
	if len(paths) == 0 {
		t.Fatal("no test projects")
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive := readArchive(t, path)
			p := loadClean(t, extract(t, archive), featuredefs.Options{Schemas: inferred})
			var b strings.Builder
			if err := plan.Print(&b, p.Plan); err != nil {
				t.Fatal(err)
			}
			compareWant(t, path, archive, b.String())
		})
	}
}

// TestCases loads the cases that repositories share, if they are checked out beside this
// one, and the copies of three of them.
func TestCases(t *testing.T) {
	copies, _ := filepath.Glob("testdata/projects/*")
	shared, _ := filepath.Glob("../../shared/cases/*")
	if len(copies) != 3 {
		t.Fatalf("found %d copies, want 3", len(copies))
	}
	for _, dir := range append(copies, shared...) {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			p := loadClean(t, dir, featuredefs.Options{})
			if len(p.Plan.Views) == 0 || len(p.Tests) == 0 {
				t.Errorf("%d views and %d tests", len(p.Plan.Views), len(p.Tests))
			}
		})
	}
}

func TestLoad_NotAProject(t *testing.T) {
	_, _, err := featuredefs.Load(t.TempDir(), featuredefs.Options{})
	if err == nil || !strings.Contains(err.Error(), featuredefs.ConfigFile) {
		t.Errorf("got %v", err)
	}
}

func TestLoad_UnreadableFileIsAnError(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: p\n")
	if err := os.MkdirAll(filepath.Join(dir, "features"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "features", "a.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := featuredefs.Load(dir, featuredefs.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestServedLogConfig(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: p\nserved_log: {rate: 0.5%, retain: 90d, folder: var/served, hash_keys: {file: secrets/served}}\n")
	got := loadClean(t, dir, featuredefs.Options{}).ServedLog
	if got.Rate != 0.005 || got.Retain != 90*plan.Day || got.HashFile != filepath.FromSlash("secrets/served") || got.HashEnv != "" || got.Folder != filepath.FromSlash("var/served") || got.Services != nil {
		t.Errorf("%+v", got)
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]float64{"0%": 0, "1%": 0.01, "0.1%": 0.001, "100%": 1} {
		if got, err := featuredefs.ParseRate(text); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "%", "-1%", "101%", "NaN%", "1 %", "one%"} {
		if got, err := featuredefs.ParseRate(text); err == nil || !strings.Contains(err.Error(), "like 1%") {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       featuredefs.Online
	}{
		{"default", "project: p\n", featuredefs.Online{DataDir: ".unskew"}},
		{"embedded", "project: p\nonline: embedded\ndata: var/state\n", featuredefs.Online{DataDir: filepath.FromSlash("var/state")}},
		{"redis", "project: p\nonline:\n  redis: {addresses: [a:1, b:2], username: u, db: 3, tls: true, prefix: x}\n",
			featuredefs.Online{DataDir: ".unskew", Redis: &featuredefs.Redis{
				Addresses: []string{"a:1", "b:2"}, Username: "u", DB: 3, TLS: true, Prefix: "x"}}},
		{"log", "project: p\nlog: {retain: 7d, archive: var/archive}\n",
			featuredefs.Online{DataDir: ".unskew", Retain: 7 * plan.Day, Archive: filepath.FromSlash("var/archive")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "unskew.yaml"), c.text)
			p := loadClean(t, dir, featuredefs.Options{})
			got := p.Online
			if got.DataDir != c.want.DataDir || got.Retain != c.want.Retain || got.Archive != c.want.Archive || (got.Redis == nil) != (c.want.Redis == nil) {
				t.Fatalf("got %+v", got)
			}
			if r, w := got.Redis, c.want.Redis; r != nil &&
				(strings.Join(r.Addresses, ",") != strings.Join(w.Addresses, ",") || r.Username != w.Username || r.DB != w.DB || r.TLS != w.TLS || r.Prefix != w.Prefix) {
				t.Errorf("got %+v, want %+v", *r, *w)
			}
		})
	}
}

func TestConfig_Databases(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "unskew.yaml"), `
project: p
attach:
  a: {duckdb: data/a.duckdb}
  b: {sqlite: b.db}
  c: {postgres: {env: C}}
  d: {postgres: {file: secrets/d}}
`)
	want := []featuredefs.Database{
		{Name: "a", Type: "duckdb", Path: filepath.FromSlash("data/a.duckdb")}, {Name: "b", Type: "sqlite", Path: "b.db"},
		{Name: "c", Type: "postgres", Env: "C"}, {Name: "d", Type: "postgres", SecretFile: filepath.FromSlash("secrets/d")},
	}
	if got := loadClean(t, dir, featuredefs.Options{}).Databases; !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	if got, err := featuredefs.LoadDatabases(dir); err != nil || !slices.Equal(got, want) {
		t.Errorf("without the definitions: %+v, %v", got, err)
	}
}

// TestCSVDialect: layout is data of the plan.
func TestCSVDialect(t *testing.T) {
	source := "kind: Source\nname: s\nfrom: a.csv\nevent_time: ts\ncolumns: {ts: {type: timestamp}}\n"
	for text, want := range map[string]plan.CSV{
		"":                          {},
		"csv: {delimiter: \"\\t\"}": {Delimiter: '\t'},
		"csv: {delimiter: ;, quote: \"'\", null: N/A}": {Delimiter: ';', Quote: '\'', Null: "N/A"},
		"csv: {quote: \"\"}":                           {Unquoted: true},
	} {
		if got := loadText(t, source+text+"\n").Sources[0].CSV; got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}
