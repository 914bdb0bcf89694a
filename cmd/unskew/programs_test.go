package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/unskew/unskew/internal/duckdb"
)

// query [-o FILE] SQL prints a result, or writes it as .parquet or .arrow.
func query(args []string) (err error) {
	db, err := duckdb.Open(duckdb.Options{})
	if err != nil {
		return err
	}
	defer closeWith(&err, db)
	ctx := context.Background()
	if len(args) == 1 {
		return db.Query(ctx, args[0], func(s *arrow.Schema) error {
			for i, f := range s.Fields() {
				fmt.Print(strings.Repeat(" ", min(i, 1)), f.Name)
			}
			fmt.Println()
			return nil
		}, printRecord)
	}
	file, sql := args[1], args[2]
	if filepath.Ext(file) == ".parquet" {
		return db.Exec(ctx, "COPY ("+sql+") TO '"+file+"'")
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer closeWith(&err, out)
	var w *ipc.Writer
	err = db.Query(ctx, sql, func(s *arrow.Schema) error {
		w = ipc.NewWriter(out, ipc.WithSchema(s))
		return nil
	}, func(rec arrow.RecordBatch) error { return w.Write(rec) })
	if err != nil {
		return err
	}
	return w.Close()
}

func printRecord(rec arrow.RecordBatch) error {
	for row := range int(rec.NumRows()) {
		for i, col := range rec.Columns() {
			fmt.Print(strings.Repeat(" ", min(i, 1)), col.ValueStr(row))
		}
		fmt.Println()
	}
	return nil
}

// tree DIR lists everything in a directory with sizes and hashes.
func tree(args []string) error {
	return filepath.WalkDir(args[0], func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			fmt.Println(path)
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Printf("%s %d %x\n", path, len(text), sha256.Sum256(text))
		return err
	})
}

// fetch URL [BODY [HEADER VALUE]] prints the status and body that a server answers with. A body is JSON, and posted.
func fetch(args []string) error {
	method, body := http.MethodGet, ""
	if len(args) > 1 {
		method, body = http.MethodPost, args[1]
	}
	q, err := http.NewRequest(method, args[0], strings.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	if len(args) > 3 {
		q.Header.Set(args[2], args[3])
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	fmt.Println(r.Status)
	_, err = bufio.NewReader(r.Body).WriteTo(os.Stdout)
	return err
}
