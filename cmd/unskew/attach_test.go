package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/duckdb"
	"github.com/unskew/unskew/materializer/offline"
)

// TestAttachedDatabase: a training set from a table of an attached database is the one from a file,
// and its manifest has the database's file.
func TestAttachedDatabase(t *testing.T) {
	p := newTestProject(t)
	p.run("train", "-q", "--out", "of-file")

	file := filepath.Join(p.dir, "data", "shop.duckdb")
	db, err := duckdb.Open(duckdb.Options{BaseDir: p.dir, Threads: 1})
	p.check(err)
	p.check(db.Exec(context.Background(), "ATTACH "+duckdb.Quote(file)+" AS shop; CREATE TABLE shop.payments AS FROM 'data/payments.csv'; DETACH shop"))
	p.check(db.Close())
	definitions, err := os.ReadFile(filepath.Join(p.dir, "features", "sources.yaml"))
	p.check(err)
	p.write("features/sources.yaml", strings.Replace(string(definitions), "from: data/payments.csv", "sql: FROM shop.payments", 1))

	failed := func(args ...string) string {
		var stderr bytes.Buffer
		c := p.command(args...)
		c.Stderr = &stderr
		p.check(c.Start())
		if p.exitCode(c) == 0 {
			t.Errorf("unskew %s has no error", strings.Join(args, " "))
		}
		return stderr.String()
	}
	for config, want := range map[string]string{
		"":                                       "shop",
		"{duckdb: data/none.duckdb}":             "attach shop: stat data/none.duckdb: no such file or directory",
		"{postgres: {env: UNSKEW_TEST_MISSING}}": "attach shop: the environment variable UNSKEW_TEST_MISSING, which unskew.yaml names for its connection string, is not set",
		"{postgres: {file: features/none}}":      "features/none: no such file or directory",
	} {
		p.write("unskew.yaml", "project: shop\n")
		if config != "" {
			p.write("unskew.yaml", "project: shop\nattach:\n  shop: "+config+"\n")
		}
		if got := failed("train", "-q", "--out", "ts"); !strings.Contains(got, want) {
			t.Errorf("attach %q: %s", config, got)
		}
	}

	p.write("unskew.yaml", "project: shop\nattach:\n  shop: {duckdb: data/shop.duckdb}\n")
	p.run("train", "-q", "--out", "of-table")
	differing := "((FROM 'of-file/data.parquet' EXCEPT ALL FROM 'of-table/data.parquet') UNION ALL (FROM 'of-table/data.parquet' EXCEPT ALL FROM 'of-file/data.parquet'))"
	db, err = duckdb.Open(duckdb.Options{BaseDir: p.dir, Threads: 1})
	p.check(err)
	p.check(errors.Join(db.Exec(context.Background(), "SELECT CASE WHEN count(*) > 0 THEN error('rows differ') END FROM "+differing), db.Close()))

	var m offline.Manifest
	text, err := os.ReadFile(filepath.Join(p.dir, "of-table", "manifest.json"))
	p.check(err)
	p.check(json.Unmarshal(text, &m))
	if in := m.Sources[0].Inputs; len(in) != 1 || in[0].Path != "data/shop.duckdb" || in[0].SHA256 == "" {
		t.Errorf("the inputs of the manifest: %+v", in)
	}
}
