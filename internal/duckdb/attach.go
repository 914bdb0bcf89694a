//go:build duckdb_arrow

package duckdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// Database is a database that queries can name. It is attached, for reading only, when a query
// first names it.
type Database struct {
	Name string // the catalog in queries, as in SELECT … FROM name.table
	Type string // of DuckDB: "duckdb", "sqlite", "postgres"
	// Path is the database's file, relative to the base directory; "" for a server.
	Path string
	// Connection returns the connection string of a server. No error shows it.
	Connection func() (string, error)
}

// attachments are the databases of a DB, those of them that are attached, and what no error may show.
type attachments struct {
	databases []Database
	mu        sync.Mutex
	attached  map[string]bool
	secretsMu sync.Mutex
	secrets   []string // none is empty
}

// Attach attaches the databases that a query names.
func (db *DB) Attach(ctx context.Context, sql string) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, d := range db.DatabasesIn(sql) {
		if db.attached[d.Name] {
			continue
		}
		if err := db.attachOne(ctx, d); err != nil {
			return fmt.Errorf("attach %s: %w", d.Name, err)
		}
		db.attached[d.Name] = true
	}
	return nil
}

// DatabasesIn lists the databases that a query names. One whose name is that of a table or column
// which the query qualifies is listed too.
func (db *DB) DatabasesIn(sql string) []Database {
	if len(db.databases) == 0 {
		return nil
	}
	catalogs := map[string]bool{}
	for _, name := range namesIn(sql) {
		if catalog, _, qualified := strings.Cut(name, "."); qualified {
			catalogs[strings.ToLower(catalog)] = true
		}
	}
	var named []Database
	for _, d := range db.databases {
		if catalogs[strings.ToLower(d.Name)] {
			named = append(named, d)
		}
	}
	return named
}

func (db *DB) attachOne(ctx context.Context, d Database) error {
	what := db.abs(d.Path)
	if d.Path == "" {
		var err error
		if what, err = d.Connection(); err != nil {
			return err
		}
		db.hide(what)
	} else if _, err := os.Stat(what); err != nil {
		return err
	}
	err := db.Exec(ctx, "ATTACH "+Quote(what)+" AS "+Ident(d.Name)+" (TYPE "+d.Type+", READ_ONLY)")
	if err == nil || d.Path != "" || ctx.Err() != nil || errors.Is(err, errNotInstalled) {
		return err
	}
	// Of a connection string that it cannot parse, the client library quotes the part that it stopped
	// at, which may be the password.
	if _, reason, ok := strings.Cut(err.Error(), "connection to server "); ok {
		return errors.New("connection to server " + reason)
	}
	return errors.New("its connection string is not one that PostgreSQL's client library accepts")
}

// hide keeps a connection string out of all errors.
func (db *DB) hide(connection string) {
	db.secretsMu.Lock()
	defer db.secretsMu.Unlock()
	db.secrets = append(db.secrets, connection, strings.ReplaceAll(connection, "'", "''"))
}

// redacted is a message of DuckDB's without connection strings.
func (db *DB) redacted(message string) string {
	db.secretsMu.Lock()
	defer db.secretsMu.Unlock()
	for _, s := range db.secrets {
		message = strings.ReplaceAll(message, s, "(connection string)")
	}
	return message
}
